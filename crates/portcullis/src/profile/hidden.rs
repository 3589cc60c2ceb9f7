//! What no server sees, whatever it is granted: by it a server could come by what others hold, or give itself more.

use std::path::{Path, PathBuf};

use super::Place;

/// Beneath the home directory: keys and credentials, and the configurations of programs that start servers.
const OF_HOME: [&str; 34] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".password-store",
    ".pki",
    ".mozilla",
    ".vault-token",
    ".cargo/credentials.toml",
    ".config/gcloud",
    ".config/gh",
    ".config/google-chrome",
    ".config/chromium",
    ".config/op",
    ".local/share/keyrings",
    ".config/portcullis",
    ".claude",
    ".claude.json",
    ".config/Claude",
    ".cursor",
    ".codex",
    ".gemini",
    ".codeium",
    ".continue",
    ".vscode",
    ".config/Code/User",
    ".config/zed",
    ".config/goose",
];

/// Beneath a directory that a server may write: what programs of its user run or obey.
const OF_PROJECTS: [&str; 6] = [
    ".mcp.json",
    ".cursor",
    ".vscode",
    ".claude",
    ".git/hooks",
    ".envrc",
];

/// What stays unseen of a server that may write `writes` and keeps files of its own in `own`.
pub(crate) fn hidden(
    place: Place<'_>,
    config_file: Option<&Path>,
    own: Option<&Path>,
    writes: &[PathBuf],
) -> Vec<PathBuf> {
    // These are not to be made either.
    let mut paths: Vec<PathBuf> = vec![place.state.to_owned()];
    paths.extend(config_file.map(Path::to_owned));
    let of_home = |home: &Path| OF_HOME.map(|name| home.join(name));
    paths.extend(place.home.into_iter().flat_map(of_home));
    // What projects lack, many lack: these are covered where they are.
    let of_projects = writes
        .iter()
        .flat_map(|root| OF_PROJECTS.map(|name| root.join(name)));
    let of_others = std::fs::read_dir(place.own_files())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| Some(&**path) != own);
    paths.extend(of_projects.chain(of_others).filter(|path| path.exists()));
    paths.sort();
    paths.dedup();
    paths
}
