//! Files that no tool has business with unless somebody says so.

use std::path::Path;
use std::sync::LazyLock;

use globset::GlobSet;

use super::globs;

/// Keys, tokens and passwords, and ways into processes and devices.
const SECRETS: &[&str] = &[
    "/**/.ssh",
    "/**/.gnupg",
    "/**/.password-store",
    "/**/.local/share/keyrings",
    "/**/id_{rsa,dsa,ecdsa,ecdsa_sk,ed25519,ed25519_sk}",
    "/**/*.{ppk,kdbx,keystore,jks}",
    "/**/{privkey,private_key,private-key,server-key,client-key}*.pem",
    "/**/*_key.pem",
    "/**/*.{key,p12,pfx}",
    "/**/.aws/{credentials,config,sso,cli}",
    "/**/.azure",
    "/**/.config/gcloud",
    "/**/.oci",
    "/**/application_default_credentials.json",
    "/**/.boto",
    "/**/.s3cfg",
    "/**/.kube/{config,cache}",
    "/**/kubeconfig",
    "/etc/kubernetes",
    "/etc/rancher",
    "/var/lib/kubelet",
    "/run/secrets",
    "/var/run/secrets",
    "/**/docker.sock",
    "/**/containerd.sock",
    "/**/podman.sock",
    "/**/.docker/config.json",
    "/**/.config/containers/auth.json",
    "/**/.dockercfg",
    "/**/.{netrc,pgpass,my.cnf,mylogin.cnf,git-credentials,npmrc,yarnrc.yml,pypirc,vault-token}",
    "/**/_netrc",
    "/**/.config/git/credentials",
    "/**/.gem/credentials",
    "/**/.cargo/credentials*",
    "/**/.config/{gh,hub,glab-cli,op,rclone,doctl}",
    "/**/.terraform.d/credentials.tfrc.json",
    "/**/.terraformrc",
    "/**/terraform.tfstate*",
    "/**/.ansible/vault*",
    "/**/.env",
    "/**/.env.*",
    "/**/.envrc",
    "/**/*.env",
    "/**/.{bash,zsh,psql,mysql,python,node_repl,sqlite,rediscli}_history",
    "/**/.viminfo",
    "/**/{wp-config,configuration}.php",
    "/**/.htpasswd",
    "/**/secrets.{yml,yaml,json,toml}",
    "/**/credentials.json",
    "/**/service-account*.json",
    "/**/master.key",
    "/**/.{mozilla,thunderbird}/**/{logins.json,key4.db,cookies.sqlite}",
    "/**/{google-chrome,chromium,BraveSoftware}/**/{Login Data,Cookies,Local State}",
    "/**/Library/Keychains",
    "/**/{claude_desktop_config,mcp_config}.json",
    "/**/.claude.json",
    "/**/.electrum",
    "/**/.bitcoin",
    "/**/.ethereum",
    "/**/wallet.dat",
    "/etc/{shadow,gshadow,sudoers,security,krb5.keytab}",
    "/etc/{shadow,gshadow,passwd}-",
    "/etc/{master.passwd,spwd.db}",
    "/etc/sudoers.d",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/ssh/ssh_host_*",
    "/etc/letsencrypt/{live,archive,keys}",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/NetworkManager/system-connections",
    "/etc/wpa_supplicant",
    "/etc/mysql/debian.cnf",
    "/private/etc/master.passwd",
    "/var/db/dslocal",
    "/var/lib/docker",
    "/var/spool/cron",
    "/var/backups/*.bak",
    "/proc/*/**",
    "/proc/{kcore,kmem,keys,key-users,kallsyms,sysrq-trigger}",
    "/dev",
    "/sys",
    "/boot",
];

/// Examples of such files, which are there to be read.
const EXAMPLES: &[&str] = &[
    "/**/.env.{example,sample,template,dist,defaults}",
    "/**/example.env",
];

/// What runs without anybody running it.
const RUNS: &[&str] = &[
    "/**/.git/{hooks,config,info,modules}",
    "/**/.git",
    "/**/.gitconfig",
    "/**/.config/git",
    "/**/.gitmodules",
    "/**/.husky",
    "/**/.hg/hgrc",
    "/**/.hgrc",
    "/**/.{bashrc,bash_profile,bash_login,bash_logout,bash_aliases,profile,login,cshrc,tcshrc}",
    "/**/.{zshrc,zshenv,zprofile,zlogin,zlogout,inputrc,xinitrc,xprofile,xsession,pam_environment}",
    "/**/.config/{fish,autostart,systemd,environment.d,nvim,htop,mc}",
    "/**/.{vimrc,emacs,nanorc}",
    "/**/.{vim,emacs.d}",
    "/**/Library/{LaunchAgents,LaunchDaemons}",
    "/**/.vscode/{tasks,settings,launch,mcp}.json",
    "/**/.idea",
    "/**/.devcontainer",
    "/**/.github/{workflows,actions}",
    "/**/.gitlab-ci.yml",
    "/**/.circleci",
    "/**/.direnvrc",
    "/**/.{mcp,mcp-config}.json",
    "/**/.{cursor,claude,codeium,windsurf,codex,gemini}",
    "/**/.local/{bin,share/systemd,share/applications}",
    "/**/.cargo/{bin,config,config.toml}",
    "/**/.npm/_npx",
    "/**/{sitecustomize,usercustomize}.py",
    "/**/.pythonrc",
    "/etc",
    "/usr/{bin,sbin,lib,lib64,libexec,share,local}",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/boot",
    "/var/spool",
    "/System",
    "/Library",
];

static SECRET: LazyLock<Option<GlobSet>> = LazyLock::new(|| globs(SECRETS.iter().copied()).ok());
static EXAMPLE: LazyLock<Option<GlobSet>> = LazyLock::new(|| globs(EXAMPLES.iter().copied()).ok());
static RUN: LazyLock<Option<GlobSet>> = LazyLock::new(|| globs(RUNS.iter().copied()).ok());

/// Whether a file or a directory above it is known to hold secrets.
pub(super) fn holds_secrets(path: &Path) -> bool {
    let is_example = EXAMPLE.as_ref().is_some_and(|set| set.is_match(path));
    let holds = |path: &Path| SECRET.as_ref().is_none_or(|set| set.is_match(path));
    match path.parent() {
        Some(parent) if is_example => parent.ancestors().any(holds),
        Some(_) | None => path.ancestors().any(holds),
    }
}

/// Whether a file or a directory above it is run or read by programs on their own.
pub(super) fn is_run_by_itself(path: &Path) -> bool {
    path.ancestors()
        .any(|path| RUN.as_ref().is_none_or(|set| set.is_match(path)))
}
