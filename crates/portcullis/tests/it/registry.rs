//! An npm registry on the loopback interface, and packages for it.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Serves what was published, and remembers what it was asked for.
#[derive(Clone)]
pub(crate) struct Registry {
    pub(crate) port: u16,
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
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
                    let server = hyper::server::conn::http1::Builder::new();
                    drop(server.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        registry
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().replace("%2f", "/");
        self.asked.lock().unwrap().push(path.clone());
        let files = self.files.lock().unwrap();
        let (status, body) = match files.get(&path) {
            Some(body) => (StatusCode::OK, body.clone()),
            None => (StatusCode::NOT_FOUND, b"{}".to_vec()),
        };
        let response = Response::builder().status(status);
        response.body(Full::new(Bytes::from(body))).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often it was asked for anything.
    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Publishes versions of one package; the last is `latest`.
    pub(crate) fn publish(&self, packages: &[Package]) {
        let mut versions = BTreeMap::new();
        for package in packages {
            let flat = package.name.replace('/', "+");
            let file = format!("/-/{flat}-{}.tgz", package.version);
            let tarball = package.tarball();
            let mut manifest = package.manifest();
            // What the registry says of scripts, npm does not ask the package again.
            let scripts = manifest.as_object_mut().unwrap().remove("scripts");
            if scripts.is_some() {
                manifest["hasInstallScript"] = json!(true);
            }
            manifest["dist"] = json!({
                "tarball": format!("{}{file}", self.url()),
                "integrity": sri(&tarball),
            });
            versions.insert(package.version, manifest);
            self.files.lock().unwrap().insert(file, tarball);
        }
        let last = packages.last().unwrap();
        let packument = json!({
            "name": last.name,
            "dist-tags": { "latest": last.version },
            "versions": versions,
        });
        let path = format!("/{}", last.name);
        let body = packument.to_string().into_bytes();
        self.files.lock().unwrap().insert(path, body);
    }
}

fn sri(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, content);
    format!("sha512-{}", STANDARD.encode(digest.as_ref()))
}

/// A version of a package with one program, `bin/server.js`.
#[derive(Clone)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Its program.
    pub(crate) program: String,
    /// A command that is to be run when it is installed.
    pub(crate) install: Option<String>,
}

impl Package {
    fn manifest(&self) -> Value {
        let mut manifest = json!({
            "name": self.name,
            "version": self.version,
            "bin": { "demo-server": "bin/server.js" },
        });
        if let Some(install) = &self.install {
            manifest["scripts"] = json!({ "install": install });
        }
        manifest
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the test builds its packages with the system's tools"
    )]
    fn tarball(&self) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("package");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::write(root.join("package.json"), self.manifest().to_string()).unwrap();
        std::fs::write(root.join("bin/server.js"), &self.program).unwrap();
        let mut tar = std::process::Command::new("tar");
        let tar = tar.args(["-cz", "--owner=0", "--mtime=@0", "package"]);
        let output = tar.current_dir(directory.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }
}

/// Whether npm is there; if not, the test says so and is left out.
pub(crate) fn has_npm() -> bool {
    let found = Path::new("/usr/bin/npm").exists();
    if !found {
        println!("left out: no `/usr/bin/npm`");
    }
    found
}
