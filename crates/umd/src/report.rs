// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a handler's lockdown was to be, and what of it is in force, by which mechanism.

use std::fmt;

/// What a handler cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Property {
    /// Open a file, a socket, or anything.
    OpenNothing,
    /// Signal, trace or look into anyone.
    ReachNobody,
    /// Gain a privilege.
    GainNothing,
    /// Create processes.
    StayAlone,
    /// Outlive its time, or take more memory or descriptors than it was given.
    StayWithin,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::OpenNothing,
        Self::ReachNobody,
        Self::GainNothing,
        Self::StayAlone,
        Self::StayWithin,
    ];

    /// The name that operators read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenNothing => "open-nothing",
            Self::ReachNobody => "reach-nobody",
            Self::GainNothing => "gain-nothing",
            Self::StayAlone => "stay-alone",
            Self::StayWithin => "stay-within",
        }
    }
}

/// What gives a handler's lockdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Mechanism {
    /// seccomp(2): there is a filter.
    Seccomp,
    /// That filter is the one of the profile's system calls. Under strict it is the host's child that sets it. One that a handler sets, since it is
    /// of another profile or diagnoses, cannot be read back: at best claimed.
    SystemCalls,
    /// landlock(7): no file is opened, made or removed, and nobody is traced.
    Landlock,
    /// The same for TCP ports, since Linux 6.7: none is taken, and none connected to.
    LandlockPorts,
    /// The same for those outside, since Linux 6.12: no signal to them, and no connection to their abstract sockets.
    LandlockScopes,
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivs,
    /// No capability is left.
    Capabilities,
    /// Nobody's ids, and no group.
    Ids,
    /// The root directory is empty, and nothing can be made in it.
    EmptyRoot,
    /// Namespaces of its own.
    Namespaces,
    /// No process or thread may be made: RLIMIT_NPROC, which root is not subject to.
    ProcessLimit,
    /// Address space: RLIMIT_AS.
    MemoryLimit,
    /// No descriptor but the channel, and a place to write to that is none.
    Descriptors,
    /// Files, cores, queues, locked memory, stack: limits.
    OtherLimits,
    /// A session of its own: no terminal.
    Session,
    /// It is killed when this program ends.
    ParentDeath,
    /// A control group of the owner's.
    Cgroup,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Seccomp,
        Self::SystemCalls,
        Self::Landlock,
        Self::LandlockPorts,
        Self::LandlockScopes,
        Self::NoNewPrivs,
        Self::Capabilities,
        Self::Ids,
        Self::EmptyRoot,
        Self::Namespaces,
        Self::ProcessLimit,
        Self::MemoryLimit,
        Self::Descriptors,
        Self::OtherLimits,
        Self::Session,
        Self::ParentDeath,
        Self::Cgroup,
    ];

    /// The name that operators read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::SystemCalls => "system-calls",
            Self::Landlock => "landlock",
            Self::LandlockPorts => "landlock-ports",
            Self::LandlockScopes => "landlock-scopes",
            Self::NoNewPrivs => "no-new-privs",
            Self::Capabilities => "capabilities",
            Self::Ids => "ids",
            Self::EmptyRoot => "empty-root",
            Self::Namespaces => "namespaces",
            Self::ProcessLimit => "process-limit",
            Self::MemoryLimit => "memory-limit",
            Self::Descriptors => "descriptors",
            Self::OtherLimits => "other-limits",
            Self::Session => "session",
            Self::ParentDeath => "parent-death",
            Self::Cgroup => "cgroup",
        }
    }

    /// Which properties it gives, or helps to give.
    pub const fn gives(self) -> &'static [Property] {
        use Property::{GainNothing, OpenNothing, ReachNobody, StayAlone, StayWithin};
        match self {
            Self::Seccomp => &[GainNothing],
            Self::SystemCalls => &[OpenNothing, ReachNobody, GainNothing, StayAlone],
            Self::Landlock => &[OpenNothing, ReachNobody],
            Self::NoNewPrivs | Self::Capabilities => &[GainNothing],
            Self::Ids => &[ReachNobody, GainNothing],
            Self::LandlockPorts | Self::EmptyRoot | Self::Descriptors => &[OpenNothing],
            Self::LandlockScopes => &[ReachNobody],
            Self::Namespaces => &[OpenNothing, ReachNobody],
            Self::ProcessLimit => &[StayAlone],
            Self::MemoryLimit
            | Self::OtherLimits
            | Self::Session
            | Self::ParentDeath
            | Self::Cgroup => &[StayWithin],
        }
    }
}

/// What is known of a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(tag = "state", content = "why", rename_all = "kebab-case")
)]
pub enum State {
    /// In force: the host did it, or has seen it.
    InForce,
    /// In force as far as the handler is to be believed, since the host cannot look.
    Claimed,
    /// Not in force, and why.
    Missing(Why),
    /// Not asked for.
    NotRequested,
}

/// Why a mechanism is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Why {
    /// This program is not privileged to.
    NotPermitted,
    /// This kernel has it not, or it is switched off.
    NotSupported,
    /// The kernel said this errno.
    Errno(i32),
    /// It was looked for, and is not there.
    NotSeen,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("this program may not"),
            Self::NotSupported => f.write_str("the kernel does not have it"),
            Self::Errno(number) => {
                write!(f, "{}", std::io::Error::from_raw_os_error(*number))
            }
            Self::NotSeen => f.write_str("it was looked for and is not there"),
        }
    }
}

/// One line of a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Item {
    /// What.
    pub mechanism: Mechanism,
    /// What is known of it.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub state: State,
}

/// What of its lockdown is in force on a handler, mechanism by mechanism.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Report {
    /// The profile that was asked for.
    pub profile: &'static str,
    /// The handler's process.
    pub pid: u32,
    /// One for each mechanism.
    pub mechanisms: Vec<Item>,
}

impl Report {
    /// What is known of this mechanism.
    pub fn state(&self, mechanism: Mechanism) -> State {
        self.mechanisms
            .iter()
            .find(|item| item.mechanism == mechanism)
            .map_or(State::NotRequested, |item| item.state)
    }

    /// By what a property is given: those that are in force, as far as is known.
    pub fn by(&self, property: Property) -> impl Iterator<Item = Item> + '_ {
        self.mechanisms.iter().copied().filter(move |item| {
            matches!(item.state, State::InForce | State::Claimed)
                && item.mechanism.gives().contains(&property)
        })
    }
}

impl fmt::Display for Report {
    /// A table, a line a mechanism.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<15} handler {}", self.profile, self.pid)?;
        for item in &self.mechanisms {
            write!(f, "{:<15} ", item.mechanism.name())?;
            match item.state {
                State::InForce => f.write_str("in force")?,
                State::Claimed => f.write_str("in force, as the handler says")?,
                State::Missing(why) => write!(f, "missing: {why}")?,
                State::NotRequested => f.write_str("not asked for")?,
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The cells of the table's line about this.
    fn cells<'t>(text: &'t str, about: &str) -> Vec<&'t str> {
        let begin = format!("| {about}");
        let line = text.lines().find(|line| line.starts_with(&begin));
        let line = line.unwrap_or_else(|| panic!("no line about {about}"));
        line.trim_matches('|').split('|').map(str::trim).collect()
    }

    #[test]
    fn the_documentation_says_what_gives_what() {
        let text = include_str!("../../../docs/embedding.md");
        let given = |property| {
            Mechanism::ALL
                .into_iter()
                .filter(move |mechanism| mechanism.gives().contains(&property))
        };
        for property in Property::ALL {
            let cells = cells(text, &property.name().replace('-', " "));
            let listed: BTreeSet<&str> = cells.last().expect("a cell").split(", ").collect();
            let gives: BTreeSet<&str> = given(property)
                .map(Mechanism::name)
                // Kept by the host, not by something that the handler is under.
                .chain((property == Property::StayWithin).then_some("deadline"))
                .collect();
            assert_eq!(listed, gives, "{property:?}");
        }
    }

    #[test]
    fn a_property_is_given_by_what_is_in_force() {
        let item = |mechanism, state| Item { mechanism, state };
        let report = Report {
            profile: "strict",
            pid: 1,
            mechanisms: vec![
                item(Mechanism::Landlock, State::InForce),
                item(Mechanism::LandlockPorts, State::InForce),
                item(Mechanism::LandlockScopes, State::Missing(Why::NotSupported)),
                item(Mechanism::SystemCalls, State::Claimed),
                item(Mechanism::Namespaces, State::NotRequested),
            ],
        };
        let by = |property| {
            let items = report.by(property).map(|item| item.mechanism);
            items.collect::<Vec<_>>()
        };
        let (files, ports) = (Mechanism::Landlock, Mechanism::LandlockPorts);
        let calls = Mechanism::SystemCalls;
        assert_eq!(by(Property::OpenNothing), [files, ports, calls]);
        // The part for signals is not there; the one for traces is.
        assert_eq!(by(Property::ReachNobody), [files, calls]);
        assert_eq!(by(Property::StayWithin), []);
        assert_eq!(report.state(Mechanism::Cgroup), State::NotRequested);
    }
}
