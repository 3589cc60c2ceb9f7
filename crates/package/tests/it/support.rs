//! A registry on the loopback interface, packages for it, and whoever runs the steps.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_package::{
    Accepted, Host, InstallError, Installed, Launcher, Recipe, Settings, Shelf, Step, StepOutput,
    install,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// A media type, and a content of it.
type File = (&'static str, Vec<u8>);
/// A path, and the credential that came along.
type Asked = (String, Option<String>);

/// Serves what it is given, and remembers what it was asked for.
#[derive(Clone)]
pub(crate) struct Registry {
    pub(crate) port: u16,
    files: Arc<Mutex<HashMap<String, File>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Self {
            port: listener.local_addr().unwrap().port(),
            files: Arc::default(),
            asked: Arc::default(),
        };
        let serving = registry.clone();
        tokio::spawn(async move {
            while let Ok((socket, _peer)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let serving = serving.clone();
                        async move { Ok::<_, Infallible>(serving.answer(&request)) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    drop(
                        connection
                            .serve_connection(TokioIo::new(socket), service)
                            .await,
                    );
                });
            }
        });
        registry
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().replace("%2f", "/");
        let credential = request.headers().get("authorization");
        let credential = credential.map(|value| value.to_str().unwrap().to_owned());
        self.asked.lock().unwrap().push((path.clone(), credential));
        let files = self.files.lock().unwrap();
        let (status, kind, body) = match files.get(path.trim_end_matches('/')) {
            Some((kind, body)) => (StatusCode::OK, *kind, body.clone()),
            None => (StatusCode::NOT_FOUND, "application/json", b"{}".to_vec()),
        };
        Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn host(&self) -> Host {
        Host::of(&self.url()).unwrap()
    }

    pub(crate) fn put(&self, path: &str, kind: &'static str, body: Vec<u8>) {
        self.files
            .lock()
            .unwrap()
            .insert(path.to_owned(), (kind, body));
    }

    /// What was asked for, with the credential that came along.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Publishes versions of one npm package; the last is `latest`.
    pub(crate) fn publish(&self, packages: &[NpmPackage]) {
        let mut versions = BTreeMap::new();
        for package in packages {
            let file = format!(
                "/-/{}-{}.tgz",
                package.name.replace('/', "+"),
                package.version
            );
            let tarball = package.tarball();
            let mut manifest = package.manifest.clone();
            manifest["name"] = json!(package.name);
            manifest["version"] = json!(package.version);
            manifest["dist"] = json!({
                "tarball": format!("{}{file}", self.url()),
                "integrity": sri(&tarball),
            });
            if package.says_scripts {
                manifest["hasInstallScript"] = json!(true);
            } else {
                manifest.as_object_mut().unwrap().remove("scripts");
            }
            versions.insert(package.version.to_owned(), manifest);
            self.put(&file, "application/octet-stream", tarball);
        }
        let last = packages.last().unwrap();
        let packument = json!({
            "name": last.name,
            "dist-tags": {"latest": last.version},
            "versions": versions,
        });
        let body = packument.to_string().into_bytes();
        self.put(&format!("/{}", last.name), "application/json", body);
    }

    /// Publishes one wheel on the index, its file on `files`.
    pub(crate) fn publish_wheel(&self, files: &Self, wheel: &Wheel) {
        let content = wheel.build();
        let file = wheel.file();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
        let digest: Vec<String> = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let digest = digest.concat();
        files.put(
            &format!("/files/{file}"),
            "application/octet-stream",
            content,
        );
        self.link(
            wheel.name,
            &format!("{}/files/{file}#sha256={digest}", files.url()),
        );
    }

    /// Adds a link to the page of a Python package (PEP 503).
    pub(crate) fn link(&self, name: &str, url: &str) {
        let file = url.rsplit('/').next().unwrap().split('#').next().unwrap();
        let path = format!("/simple/{name}");
        let mut files = self.files.lock().unwrap();
        let page = files.entry(path).or_insert(("text/html", Vec::new()));
        page.1
            .extend(format!("<a href=\"{url}\">{file}</a>\n").bytes());
    }
}

pub(crate) fn sri(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, content);
    format!("sha512-{}", STANDARD.encode(digest.as_ref()))
}

/// A version of an npm package.
#[derive(Clone)]
pub(crate) struct NpmPackage {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// More of `package.json`.
    pub(crate) manifest: Value,
    pub(crate) files: Vec<(&'static str, String)>,
    /// Whether the registry says that it has install scripts.
    pub(crate) says_scripts: bool,
}

impl NpmPackage {
    /// A server that prints its version and its arguments.
    pub(crate) fn server(name: &'static str, version: &'static str) -> Self {
        let script =
            format!("#!/usr/bin/env node\nconsole.log('{version}', ...process.argv.slice(2));\n");
        Self {
            name,
            version,
            manifest: json!({"bin": {"demo-server": "bin/server.js"}}),
            files: vec![("bin/server.js", script)],
            says_scripts: false,
        }
    }

    pub(crate) fn tarball(&self) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let mut manifest = self.manifest.clone();
        manifest["name"] = json!(self.name);
        manifest["version"] = json!(self.version);
        write(
            directory.path(),
            "package/package.json",
            &manifest.to_string(),
        );
        for (path, content) in &self.files {
            write(directory.path(), &format!("package/{path}"), content);
        }
        output(
            "tar",
            &["-cz", "--owner=0", "--mtime=@0", "package"],
            directory.path(),
        )
    }
}

/// Makes `out` of the files that it is told.
const ZIP: &str = "import sys, zipfile\nwith zipfile.ZipFile('out', 'w') as out:\n    for path in sys.argv[1:]: out.writestr(zipfile.ZipInfo(path), open(path).read())";

/// A Python package as a wheel.
#[derive(Clone)]
pub(crate) struct Wheel {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) requires: Vec<&'static str>,
    pub(crate) programs: Vec<&'static str>,
    pub(crate) files: Vec<(&'static str, String)>,
}

impl Wheel {
    /// A server that prints its version and its arguments.
    pub(crate) fn server(name: &'static str, version: &'static str) -> Self {
        let module = format!("import sys\ndef main():\n    print('{version}', *sys.argv[1:])\n");
        Self {
            name,
            version,
            requires: Vec::new(),
            programs: vec![name],
            files: vec![("demo_module.py", module)],
        }
    }

    pub(crate) fn file(&self) -> String {
        format!(
            "{}-{}-py3-none-any.whl",
            self.name.replace('-', "_"),
            self.version
        )
    }

    fn build(&self) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let info = format!("{}-{}.dist-info", self.name.replace('-', "_"), self.version);
        let requires: String = self
            .requires
            .iter()
            .flat_map(|one| ["Requires-Dist: ", *one, "\n"])
            .collect();
        let programs: String = self
            .programs
            .iter()
            .flat_map(|one| [*one, " = demo_module:main\n"])
            .collect();
        let mut files = vec![
            (
                format!("{info}/METADATA"),
                format!(
                    "Metadata-Version: 2.1\nName: {}\nVersion: {}\n{requires}",
                    self.name, self.version
                ),
            ),
            (
                format!("{info}/WHEEL"),
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                    .to_owned(),
            ),
            (
                format!("{info}/entry_points.txt"),
                format!("[console_scripts]\n{programs}"),
            ),
        ];
        files.extend(
            self.files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), text.clone())),
        );
        let record: String = files
            .iter()
            .flat_map(|(path, _)| [path.as_str(), ",,\n"])
            .collect();
        files.push((
            format!("{info}/RECORD"),
            format!("{record}{info}/RECORD,,\n"),
        ));
        for (path, content) in &files {
            write(directory.path(), path, content);
        }
        let paths = files.iter().map(|(path, _)| path.as_str());
        let args: Vec<&str> = ["-c", ZIP].into_iter().chain(paths).collect();
        output("python3", &args, directory.path());
        std::fs::read(directory.path().join("out")).unwrap()
    }
}

pub(crate) fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test builds its packages with the system's tools"
)]
fn output(program: &str, args: &[&str], directory: &Path) -> Vec<u8> {
    let mut command = std::process::Command::new(program);
    let output = command.args(args).current_dir(directory).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tools to test with are found on the path"
)]
fn path() -> String {
    std::env::var("PATH").unwrap()
}

/// The path, without directories that hold `program`.
pub(crate) fn path_without(program: &str) -> String {
    let path = path();
    let without = path
        .split(':')
        .filter(|directory| !Path::new(directory).join(program).exists());
    without.collect::<Vec<_>>().join(":")
}

/// Whether a tool is there; if not, the test says so and is left out.
pub(crate) fn has(program: &str) -> bool {
    let found = path()
        .split(':')
        .any(|directory| Path::new(directory).join(program).exists());
    if !found {
        println!("left out: no `{program}` on the path");
    }
    found
}

/// A gateway's state directory, and the user whose configuration names the registry.
pub(crate) struct Fixture {
    pub(crate) state: TempDir,
    pub(crate) home: TempDir,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    pub(crate) steps: Mutex<Vec<Step>>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(&path(), true).await
    }

    /// With tools on `path`; the environment may leave the registry to files.
    pub(crate) async fn with(path: &str, named: bool) -> Self {
        let registry = Registry::start().await;
        let home = tempfile::tempdir().unwrap();
        let url = registry.url();
        let simple = format!("{url}/simple");
        let mut env = vec![
            ("PATH", path),
            ("npm_config_fetch_retries", "0"),
            ("PIP_RETRIES", "0"),
            ("UV_HTTP_RETRIES", "0"),
        ];
        if named {
            env.extend([
                ("PIP_CONFIG_FILE", "/dev/null"),
                ("npm_config_registry", &url),
                ("PIP_INDEX_URL", &simple),
                ("UV_DEFAULT_INDEX", &simple),
            ]);
        }
        let env = env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            settings: Settings::new(env, home.path()),
            state: tempfile::tempdir().unwrap(),
            home,
            registry,
            steps: Mutex::default(),
        }
    }

    pub(crate) fn shelf(&self) -> Shelf {
        Shelf::new(&self.state.path().join("packages"), "demo").unwrap()
    }

    pub(crate) fn accepted_path(&self) -> PathBuf {
        self.state.path().join("packages.toml")
    }

    pub(crate) fn accepted(&self) -> Accepted {
        Accepted::load(&self.accepted_path()).unwrap()
    }

    pub(crate) fn accept(&self, installed: &Installed) {
        let change = |accepted: &mut Accepted| accepted.accept("demo", installed, NOW_MS);
        Accepted::change(&self.accepted_path(), change).unwrap();
    }

    pub(crate) fn recipe(&self, command: &str) -> Recipe {
        Recipe::new(&launcher(command), self.settings.clone(), &self.shelf()).unwrap()
    }

    pub(crate) async fn install(
        &self,
        command: &str,
    ) -> Result<Installed, InstallError<io::Error>> {
        let recipe = self.recipe(command);
        install(&recipe, NOW_MS, async |step: &Step| {
            self.steps.lock().unwrap().push(step.clone());
            run(step).await
        })
        .await
    }

    /// The message of a failed install with its causes, once it is known that nothing is left of it.
    pub(crate) async fn refused(&self, command: &str) -> String {
        let error = self.install(command).await.unwrap_err();
        assert!(self.shelf().installs().unwrap().is_empty());
        assert!(!self.state.path().join("packages/demo/partial").exists());
        chain(&error)
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(crate) fn launcher(command: &str) -> Launcher {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    Launcher::parse(&words).unwrap().unwrap()
}

/// Runs a step, without confining it.
#[expect(clippy::disallowed_methods, reason = "the test stands for the sandbox")]
pub(crate) async fn run(step: &Step) -> io::Result<StepOutput> {
    let mut command = tokio::process::Command::new(&step.program);
    command
        .args(&step.args)
        .env_clear()
        .envs(step.env.iter().cloned())
        .current_dir(&step.cwd)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(100), command.output()).await;
    let output = output.map_err(io::Error::other)??;
    Ok(StepOutput {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: output.stderr,
    })
}

/// What the installed program prints.
pub(crate) fn says(installed: &Installed, args: &[&str]) -> String {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let (program, args) = installed.command(&args);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let said = output(program.to_str().unwrap(), &args, Path::new("/"));
    String::from_utf8(said).unwrap().trim().to_owned()
}
