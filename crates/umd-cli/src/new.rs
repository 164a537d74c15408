// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd new`: a driver to begin with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::Verdict;
use crate::output::{self, Format, FormatArgs};

/// Write a driver to begin with: messages, handler, a program that calls it, tests, a fuzz target
///
/// It works as it is: `cargo run` in it answers.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd new my-parser && cd my-parser && cargo run\n  umd new my-parser --std\n  umd new my-parser --umd-path ~/src/umd"
)]
pub(crate) struct New {
    /// What it is called: a crate's name. A directory of this name is made here
    name: Name,

    /// The handler has the standard library, under the lockdown `compute`
    #[arg(long)]
    std: bool,

    /// Where the source tree of umd is, whose crates it uses [default: the one that this program was built from]
    #[arg(long, value_name = "DIR")]
    umd_path: Option<PathBuf>,

    /// Use the crates of this version from the registry instead
    #[arg(long, value_name = "VERSION", conflicts_with = "umd_path")]
    umd_version: Option<String>,

    #[command(flatten)]
    format: FormatArgs,
}

/// The name of a crate.
///
/// # Invariants
///
/// An ASCII letter, then ASCII letters, digits, `-` and `_`; [`Name::LEN_MAX`] bytes at most; no word that a crate cannot be
/// called by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name(String);

impl Name {
    /// What a driver's name may have.
    const LEN_MAX: usize = 32;

    /// As Rust's code calls the crate.
    fn identifier(&self) -> String {
        self.0.replace('-', "_")
    }
}

/// Rust's keywords, and crates that are there already.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "libfuzzer-sys",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "umd",
    "umd-build",
    "umd-core",
    "umd-handler",
    "umd-handler-std",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_word) {
            return Err("a crate's name begins with a letter and has letters, digits, `-` and `_` only: `my-parser`".into());
        }
        if name.len() > Self::LEN_MAX {
            return Err(format!(
                "it has {} characters; at most {} are allowed",
                name.len(),
                Self::LEN_MAX
            ));
        }
        let plain = name.to_ascii_lowercase().replace('_', "-");
        if TAKEN.contains(&plain.as_str()) {
            return Err(format!(
                "a crate cannot be called that; `{name}-driver` would do"
            ));
        }
        // INVARIANT: just checked.
        Ok(Self(name.to_owned()))
    }
}

/// Where the crates of umd come from.
enum Source {
    /// A source tree.
    Tree(PathBuf),
    /// The registry, in this version.
    Version(String),
}

impl Source {
    /// A dependency as a manifest has it.
    fn dependency(&self, name: &str) -> String {
        match self {
            Self::Tree(tree) => {
                let path = tree.join("crates").join(name);
                format!(
                    "{name} = {{ path = {} }}",
                    quoted(&path.display().to_string())
                )
            }
            Self::Version(version) => format!("{name} = {}", quoted(version)),
        }
    }
}

/// As TOML has it.
fn quoted(text: &str) -> String {
    // A JSON string is a TOML string.
    serde_json::Value::from(text).to_string()
}

/// A file of a driver: where it goes, and what is in it.
type Template = (&'static str, &'static str);

macro_rules! templates {
    ($($path:literal: $file:literal)*) => {
        &[$(($path, include_str!(concat!("../templates/", $file))),)*]
    };
}

const COMMON: &[Template] = templates! {
    "Cargo.toml": "Cargo.toml.in"
    "README.md": "README.md.in"
    ".gitignore": "gitignore.in"
    "build.rs": "build.rs.in"
    "src/lib.rs": "lib.rs.in"
    "src/main.rs": "main.rs.in"
    "tests/driver.rs": "test-driver.rs.in"
    "tests/handler.rs": "test-handler.rs.in"
    "proto/Cargo.toml": "proto.toml.in"
    "proto/src/lib.rs": "proto.rs.in"
    "handler/Cargo.toml": "handler.toml.in"
    "fuzz/Cargo.toml": "fuzz.toml.in"
    "fuzz/.gitignore": "fuzz-gitignore.in"
    "fuzz/fuzz_targets/serve.rs": "fuzz.rs.in"
};

const BARE: &[Template] = templates! {
    "handler/build.rs": "handler-build.rs.in"
    "handler/src/lib.rs": "handler.rs.in"
    "handler/src/main.rs": "handler-main.rs.in"
};

const STANDARD: &[Template] = templates! {
    "handler/src/lib.rs": "handler-std.rs.in"
    "handler/src/main.rs": "handler-std-main.rs.in"
};

/// What was written.
#[derive(Debug, Serialize)]
struct Report {
    directory: PathBuf,
    files: Vec<&'static str>,
    /// The source tree that its dependencies are in, if they are in one.
    umd: Option<PathBuf>,
}

impl New {
    pub(crate) fn format(&self) -> Format {
        self.format.format()
    }

    pub(crate) fn run(&self) -> Result<Verdict> {
        let source = self.source()?;
        let directory = PathBuf::from(&self.name.0);
        // Fails where there is something of this name: nothing is ever overwritten.
        fs::create_dir(&directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let report = self.write(&directory, &source).with_context(|| {
            format!(
                "{} is not complete: remove it before you try again",
                directory.display()
            )
        })?;
        output::result(self.format(), &report, || report.text())?;
        Ok(Verdict::Fine)
    }

    fn source(&self) -> Result<Source> {
        if let Some(version) = &self.umd_version {
            return Ok(Source::Version(version.clone()));
        }
        let own = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let tree = self.umd_path.as_deref().unwrap_or(own);
        if !tree.join("crates/umd/Cargo.toml").is_file() {
            match &self.umd_path {
                Some(path) => bail!(
                    "{} is not umd's source tree: it has no crates/umd",
                    path.display()
                ),
                None => bail!(
                    "the source tree that this program was built from is gone: say with `--umd-path` where there is another"
                ),
            }
        }
        let tree = tree.canonicalize();
        Ok(Source::Tree(
            tree.context("cannot tell where umd's source tree is")?,
        ))
    }

    fn write(&self, directory: &Path, source: &Source) -> Result<Report> {
        let own = if self.std { STANDARD } else { BARE };
        let files: Vec<Template> = COMMON.iter().chain(own).copied().collect();
        for (path, template) in &files {
            let path = directory.join(path);
            if let Some(above) = path.parent() {
                fs::create_dir_all(above)
                    .with_context(|| format!("cannot make the directory {}", above.display()))?;
            }
            fs::write(&path, self.fill(template, source))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Report {
            directory: directory.to_owned(),
            files: files.iter().map(|(path, _)| *path).collect(),
            umd: match source {
                Source::Tree(tree) => Some(tree.clone()),
                Source::Version(_) => None,
            },
        })
    }

    /// A template with all its places filled.
    fn fill(&self, template: &str, source: &Source) -> String {
        let handler = source.dependency("umd-handler");
        let (standard_library, lockdown, handler_dependencies, note) = if self.std {
            (
                ".standard_library()",
                "\n        .lockdown(umd::Lockdown::Compute)",
                format!("\n{}", source.dependency("umd-handler-std")),
                "\nThe handler has the standard library, linked statically, and a heap: the lockdown `compute`.",
            )
        } else {
            let build = format!("\n\n[build-dependencies]\n{handler}");
            let note = "\nThe handler has no standard library and no heap. `umd check` shows which system calls it can make.";
            ("", "", build, note)
        };
        // The licence is of the template, and not of what is made of it.
        let text = template.split_once('\n').map_or("", |(_, rest)| rest);
        let places = [
            ("{name}", self.name.0.clone()),
            ("{ident}", self.name.identifier()),
            ("{standard-library}", standard_library.to_owned()),
            ("{lockdown}", lockdown.to_owned()),
            ("{handler-dependencies}", handler_dependencies),
            ("{std-note}", note.to_owned()),
            ("{umd}", source.dependency("umd")),
            ("{umd-build}", source.dependency("umd-build")),
            ("{umd-core}", source.dependency("umd-core")),
            ("{umd-handler}", handler),
        ];
        places.iter().fold(text.to_owned(), |text, (place, with)| {
            text.replace(place, with)
        })
    }
}

impl Report {
    fn text(&self) -> String {
        let directory = self.directory.display();
        let mut text = format!(
            "{directory} is a driver to begin with; `cd {directory} && cargo run` has it answer.\n"
        );
        if let Some(umd) = &self.umd {
            text += &format!("It uses the crates in {}.\n", umd.display());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates() {
        for name in ["a", "my-parser", "x_9", "Parser", &"n".repeat(32)] {
            assert_eq!(name.parse().as_ref(), Ok(&Name(name.into())));
        }
        for (name, words) in [
            ("", "begins with a letter"),
            ("9x", "begins with a letter"),
            ("-x", "begins with a letter"),
            ("../x", "begins with a letter"),
            ("x/y", "letters, digits"),
            ("x y", "letters, digits"),
            ("x.y", "letters, digits"),
            ("größe", "letters, digits"),
            (&"n".repeat(33), "at most 32"),
            ("fn", "`fn-driver` would do"),
            ("umd", "`umd-driver` would do"),
            ("umd_core", "would do"),
            ("Test", "would do"),
        ] {
            let error = name.parse::<Name>().expect_err(name);
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[test]
    fn dependencies_are_by_path_or_version() {
        let tree = Source::Tree("/a \"b\"/umd".into());
        assert_eq!(
            tree.dependency("umd-core"),
            r#"umd-core = { path = "/a \"b\"/umd/crates/umd-core" }"#
        );
        let version = Source::Version("0.1".into());
        assert_eq!(version.dependency("umd"), r#"umd = "0.1""#);
    }

    #[test]
    fn every_place_is_filled_and_no_licence_given() {
        let new = |std| New {
            name: Name("my-parser".into()),
            std,
            umd_path: None,
            umd_version: None,
            format: FormatArgs::default(),
        };
        let source = Source::Version("1".into());
        for (new, templates) in [(new(false), BARE), (new(true), STANDARD)] {
            for (path, template) in COMMON.iter().chain(templates) {
                assert!(
                    template
                        .lines()
                        .next()
                        .is_some_and(|line| line.contains("SPDX")),
                    "{path}"
                );
                let text = new.fill(template, &source);
                assert!(!text.contains("SPDX"), "{path}");
                for place in ["{name", "{ident", "{umd", "{std", "{lock", "{hand"] {
                    assert!(!text.contains(place), "{path}: {place}");
                }
            }
        }
    }
}
