//! Installs the packages that servers are configured as, apart from running them.
//!
//! Servers are often configured as `npx PACKAGE`, `uvx PACKAGE` or `pipx run PACKAGE`: fetched anew
//! from a registry, with whatever is there that day, by the process that then serves. A confined
//! server neither can nor should reach a registry. So the package is installed once, by steps that
//! reach nothing else ([`Recipe`], [`install()`]), without running code of it; what was installed is
//! noted to the last byte ([`Installed`]); and from then on the program in it is run directly. Any
//! other version or content is refused until a person accepts it ([`Accepted`]).
//!
//! On disk, below the state directory:
//!
//! ```text
//! packages.toml                     what a person accepted, for each server
//! packages/SERVER/lock              held by whoever installs
//! packages/SERVER/partial/          an install that is under way, or was cut off
//! packages/SERVER/DIGEST/           an install, named after its digest; several may lie side by side
//!     portcullis-package.json       what it is
//!     tree/                         node_modules, or a virtual environment
//! packages/SERVER/DIGEST.stamp      what its files looked like when they were last read in full
//! ```
//!
//! Nothing points at an install but the digest in `packages.toml`, so that accepting another is one
//! write, and servers that run from the old one keep their files until [`Shelf::prune`].
//!
//! At a start, [`Launcher::parse`] says whether a command is for this crate, and [`Shelf::check`]
//! whether it can be started: what is ready is run by [`Installed::command`]; what is absent is
//! installed, and then compared by [`Accepted::verify`]; what is another is refused. The first
//! install of a server is accepted by whoever configured it. To update is to install again: that
//! leaves the accepted one alone, [`difference`] shows what is new, and [`Accepted::accept`] makes it
//! the one that starts next.
//!
//! What the digests protect against: a registry that serves something else under the same name, a
//! package manager or a person that changes files in place, and damage. They do not protect against
//! who can write to the state directory as the gateway's user; confined servers cannot, and the
//! interpreter (`node`, `python`) is not part of what is digested. At a start the files' contents are
//! read only if the file system says that something changed: about 45 ms for 5,000 files on a busy
//! machine with two cores, and five times that to read all of them.
//!
//! This crate starts no process and opens no socket: the caller runs each [`Step`] in its sandbox,
//! and lets it reach the hosts that the step names. No registry's name is written here: the
//! installers are asked which one they are configured for.

mod accepted;
mod diagnosis;
mod install;
mod installed;
mod launcher;
mod npm;
mod pip;
mod python;
mod recipe;
mod requirement;
mod runner;
mod settings;
mod shelf;
mod step;
mod tree;
mod uv;

pub use accepted::{Accepted, AcceptedError, Change, Changed, Entry, Verdict, difference};
pub use diagnosis::Fault;
pub use install::{InstallError, install};
pub use installed::{Component, Installed};
pub use launcher::{Ecosystem, Launcher, LauncherError};
pub use recipe::{Recipe, RecipeError};
pub use requirement::Requirement;
pub use settings::Settings;
pub use shelf::{Check, Shelf, ShelfError};
pub use step::{Host, Purpose, Step, StepOutput};
pub use tree::TreeError;
