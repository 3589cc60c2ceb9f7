//! What the gateway tells a guard to run, and its form on the lifeline.
//!
//! It travels there, and not in the guard's argv or environment, because it holds secrets that
//! every user of the machine could otherwise read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A command whose program has been found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The absolute path to execute.
    pub(crate) program: OsString,
    /// `argv[0]`: the program as its user wrote it.
    pub(crate) name: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<OsString>,
}

impl Plan {
    /// Strings that each end in NUL: program, name, working directory or nothing, number of
    /// arguments, arguments, and pairs of a variable's name and value.
    // INVARIANT: no string holds a NUL; `Command::resolve` has refused those.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |text: &OsStr| {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        };
        put(&self.program);
        put(&self.name);
        put(self.cwd.as_deref().unwrap_or_default());
        put(OsStr::new(&self.args.len().to_string()));
        for arg in &self.args {
            put(arg);
        }
        for (name, value) in &self.env {
            put(name);
            put(value);
        }
        bytes
    }

    /// The reverse of [`Plan::encode`]; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut strings = bytes
            .strip_suffix(&[0])?
            .split(|byte| *byte == 0)
            .map(|text| OsString::from_vec(text.to_vec()));
        let program = strings.next()?;
        let name = strings.next()?;
        let cwd = Some(strings.next()?).filter(|cwd| !cwd.is_empty());
        let args_count: usize = strings.next()?.to_str()?.parse().ok()?;
        let args: Vec<OsString> = strings.by_ref().take(args_count).collect();
        if args.len() != args_count {
            return None;
        }
        let mut env = Vec::new();
        while let Some(variable) = strings.next() {
            env.push((variable, strings.next()?));
        }
        Some(Self {
            program,
            name,
            args,
            env,
            cwd,
        })
    }
}

#[cfg(test)]
mod tests;
