//! What the tables have in common.

use std::path::{Path, PathBuf};

use portcullis_constraint::{
    Checked, Constraints, Files, InvalidRule, Reason, Rule, Rules, Surroundings,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The rule that a configuration would hold, from JSON.
#[track_caller]
pub(crate) fn rule(json: Value) -> Rule {
    serde_json::from_value(json).unwrap()
}

pub(crate) fn nowhere() -> Surroundings {
    Surroundings {
        directory: None,
        home: None,
        files: Files::Elsewhere,
    }
}

/// The rule for the argument `/it`.
pub(crate) fn compile(rule: Rule, around: &Surroundings) -> Result<Constraints, InvalidRule> {
    Constraints::compile(&Rules::from([("/it".to_owned(), rule)]), around)
}

#[track_caller]
pub(crate) fn constraints(json: Value) -> Constraints {
    compile(rule(json), &nowhere()).unwrap()
}

pub(crate) fn check(constraints: &Constraints, it: impl Into<Value>) -> Result<Checked, Reason> {
    let violation = constraints.check(&json!({"it": it.into(), "other": 1}));
    violation.map_err(|violation| violation.reason)
}

#[track_caller]
pub(crate) fn passes(constraints: &Constraints, it: impl Into<Value>) {
    let it = it.into();
    let checked = check(constraints, it.clone());
    assert!(checked.is_ok(), "{it} is refused: {:?}", checked.err());
    settles(constraints, &json!({"it": it, "other": 1}));
}

#[track_caller]
pub(crate) fn refused(constraints: &Constraints, it: impl Into<Value>, reason: Reason) {
    let it = it.into();
    let checked = check(constraints, it.clone());
    assert_eq!(
        checked.map(|checked| checked.rewritten),
        Err(reason),
        "{it}"
    );
}

/// What is sent passes again, and is sent as it is.
#[track_caller]
pub(crate) fn settles(constraints: &Constraints, arguments: &Value) {
    if let Ok(Checked {
        rewritten: Some(rewritten),
        ..
    }) = constraints.check(arguments)
    {
        let again = constraints.check(&rewritten);
        let again = again.map(|checked| checked.rewritten);
        assert_eq!(again, Ok(None), "{arguments} became {rewritten}");
    }
}

/// A directory tree with links: `files` is the root, beside it `outside`.
pub(crate) struct Tree {
    directory: TempDir,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let write = |path: &str| {
            let path = base.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        for path in [
            "files/a.txt",
            "files/sub/b.txt",
            "files/sub/deep/c.txt",
            "files/.hidden/d.txt",
            "files/.env",
            "files/.git/config",
            "files/.git/hooks/pre-commit",
            "files/server.key",
            "files/private/e.txt",
            "files/naïve résumé.txt",
            "files/100% done.txt",
            "files/a b (1).txt",
            "outside/secret.txt",
            "outside/.ssh/id_rsa",
            "files-evil/f.txt",
            "home/.ssh/id_ed25519",
            "home/files/g.txt",
        ] {
            write(path);
        }
        let link = |to: &str, at: &str| {
            std::os::unix::fs::symlink(to, base.join(at)).unwrap();
        };
        link("../outside", "files/out");
        link("../outside/secret.txt", "files/out.txt");
        link("../outside/not-there", "files/dangling");
        link("sub", "files/in");
        link("sub/b.txt", "files/in.txt");
        link("out", "files/twice");
        link("loop", "files/loop");
        link("/proc/self", "files/proc");
        link("/", "files/slash");
        link(".env", "files/env.txt");
        link("files", "alias");
        Self { directory }
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.base().join("files")
    }

    pub(crate) fn around(&self) -> Surroundings {
        Surroundings {
            directory: Some(self.root()),
            home: Some(self.base().join("home")),
            files: Files::Here,
        }
    }

    /// A rule for paths beneath the root, with further `options`.
    #[track_caller]
    pub(crate) fn constraints(&self, options: &Value) -> Constraints {
        let mut json = json!({"kind": "path", "roots": [text(&self.root())]});
        for (name, value) in options.as_object().unwrap() {
            json[name] = value.clone();
        }
        compile(rule(json), &self.around()).unwrap()
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
