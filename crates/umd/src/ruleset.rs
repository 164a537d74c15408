// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Landlock takes from a handler, as far as this kernel's knows it, as in landlock(7).

use crate::image::{Image, Kind, out_of_the_way};
use crate::report::{Mechanism, Why};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use rustix::fd::OwnedFd;

/// The newest version that is made use of.
const NEWEST: ABI = ABI::V6;

/// A ruleset that allows nothing; but the image, where that is a file among others.
#[derive(Debug)]
pub(crate) struct DenyAll {
    file: Result<OwnedFd, Why>,
    ports: Result<(), Why>,
    scopes: Result<(), Why>,
}

impl DenyAll {
    pub(crate) fn new(image: &Image) -> Self {
        // What an older kernel does not know is left out, and has to be told apart.
        let strictly = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let ports = strictly().handle_access(AccessNet::from_all(NEWEST));
        let scopes = strictly().scope(Scope::from_all(NEWEST));
        Self {
            ports: ports.map_or(Err(Why::NotSupported), |_| Ok(())),
            scopes: scopes.map_or(Err(Why::NotSupported), |_| Ok(())),
            file: make(image),
        }
    }

    /// The ruleset, if there is one.
    pub(crate) fn file(&self) -> Option<&OwnedFd> {
        self.file.as_ref().ok()
    }

    /// What whoever is under it is under, or why not.
    pub(crate) fn parts(&self) -> [(Mechanism, Result<(), Why>); 3] {
        let file = self.file.as_ref().map(drop).map_err(|why| *why);
        [
            (Mechanism::Landlock, file),
            (Mechanism::LandlockPorts, file.and(self.ports)),
            (Mechanism::LandlockScopes, file.and(self.scopes)),
        ]
    }
}

fn make(image: &Image) -> Result<OwnedFd, Why> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.create());
    let ruleset = ruleset.map_err(|_| Why::NotSupported)?;
    let ruleset = match image.kind() {
        Kind::Sealed => ruleset,
        Kind::Nameless => ruleset
            .add_rule(PathBeneath::new(
                image,
                AccessFs::Execute | AccessFs::ReadFile,
            ))
            .map_err(|_| Why::NotSupported)?,
    };
    let file: Option<OwnedFd> = ruleset.into();
    let file = file.ok_or(Why::NotSupported)?;
    out_of_the_way(file).map_err(|errno| Why::Errno(errno.raw_os_error()))
}
