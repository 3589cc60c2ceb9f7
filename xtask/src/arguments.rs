//! The command line.

use anyhow::{Result, bail};

use crate::step::Step;

/// What `cargo xtask help` prints.
pub(crate) const HELP: &str = "\
Usage: cargo xtask test [--only STEP[,STEP]] [--skip STEP[,STEP]]
       cargo xtask list

A STEP is a step's name or the beginning of several (`conformance`, `peers`). Steps whose name begins
with `baseline` run only when `--only` names them.
";

/// What the caller asked for.
pub(crate) enum Request {
    /// Print the usage.
    Help,
    /// Print the steps.
    List,
    /// Run steps.
    Test(Choice),
    /// Stand between the conformance suite's client scenarios and the conformance client.
    ConformanceShim {
        /// The scenario's server.
        server_url: String,
    },
}

/// Which steps to run.
#[derive(Default)]
pub(crate) struct Choice {
    only: Vec<String>,
    skip: Vec<String>,
}

/// The parser of the command line.
pub(crate) struct Arguments;

impl Arguments {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Request> {
        let command = words.next();
        match command.as_deref() {
            None | Some("help" | "--help" | "-h") => return Ok(Request::Help),
            Some("list" | "--list") => return Ok(Request::List),
            Some("conformance-shim") => {
                let Some(server_url) = words.last() else {
                    bail!("the scenario's URL is missing")
                };
                return Ok(Request::ConformanceShim { server_url });
            }
            Some("test") => {}
            Some(other) => bail!("no command `{other}`; see `cargo xtask help`"),
        }

        let mut choice = Choice::default();
        while let Some(word) = words.next() {
            let list = match word.as_str() {
                "--list" => return Ok(Request::List),
                "--only" => &mut choice.only,
                "--skip" => &mut choice.skip,
                other => bail!("no option `{other}`; see `cargo xtask help`"),
            };
            let Some(names) = words.next() else {
                bail!("`{word}` needs the name of a step")
            };
            list.extend(names.split(',').map(str::to_owned));
        }
        Ok(Request::Test(choice))
    }
}

impl Choice {
    /// The steps chosen, in their order; fails when a name fits none.
    pub(crate) fn select(&self, steps: Vec<Step>) -> Result<Vec<Step>> {
        for name in self.only.iter().chain(&self.skip) {
            if !steps.iter().any(|step| step.fits(name)) {
                bail!("no step `{name}`; see `cargo xtask list`");
            }
        }
        let fits_any = |step: &Step, names: &[String]| names.iter().any(|name| step.fits(name));
        Ok(steps
            .into_iter()
            .filter(|step| match self.only.as_slice() {
                [] => !step.is_baseline(),
                only => fits_any(step, only),
            })
            .filter(|step| !fits_any(step, &self.skip))
            .collect())
    }
}

#[cfg(test)]
mod tests;
