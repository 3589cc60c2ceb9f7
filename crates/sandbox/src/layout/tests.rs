use super::*;

struct Place {
    root: PathBuf,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for path in ["grant/inner/deep", "state", "other"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        std::fs::write(root.join("grant/inner/config.json"), "{}").unwrap();
        std::os::unix::fs::symlink(root.join("grant"), root.join("link")).unwrap();
        Self {
            root,
            _directory: directory,
        }
    }

    fn lay(&self, reads: &[&str], writes: &[&str], hidden: &[&str]) -> Result<Layout, String> {
        let paths = |paths: &[&str]| paths.iter().map(|path| self.root.join(path)).collect();
        let confinement = Confinement {
            reads: paths(reads),
            writes: paths(writes),
            hidden: paths(hidden),
            ..Confinement::default()
        };
        Layout::new(&confinement, RuntimePaths::default(), None).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refuses(&self, reads: &[&str], writes: &[&str], hidden: &[&str], why: &str) {
        let error = self.lay(reads, writes, hidden).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_link_that_is_granted_is_resolved_once() {
    let place = Place::new();
    let layout = place.lay(&["link"], &[], &[]).unwrap();
    assert_eq!(layout.binds[0].path, place.root.join("grant"));
    assert_eq!(layout.links[0].0, place.root.join("link").into_os_string());
}

#[test]
fn what_is_hidden_is_covered_and_cannot_be_moved_away() {
    let place = Place::new();
    let hidden = ["grant/inner/config.json"];
    let layout = place.lay(&[], &["grant"], &hidden).unwrap();
    assert_eq!(layout.covers, [place.root.join("grant/inner/config.json")]);
    assert_eq!(layout.pins, [place.root.join("grant/inner")]);
    let layout = place.lay(&["grant"], &[], &hidden).unwrap();
    assert!(layout.pins.is_empty());
}

#[test]
fn what_is_hidden_is_not_granted() {
    let place = Place::new();
    place.refuses(&["state"], &[], &["state"], "no server may see");
    place.refuses(&["grant/inner/deep"], &[], &["grant"], "no server may see");
    place.refuses(&["link/inner"], &[], &["grant"], "no server may see");
    place.refuses(&[], &["grant"], &["grant/new.json"], "could create");
    assert!(
        place
            .lay(&["grant"], &["other"], &["grant/new.json"])
            .is_ok()
    );
}

#[test]
fn what_is_hidden_behind_a_link_is_not_to_be_replaced() {
    let place = Place::new();
    let link = |target: &str, at: &str| {
        std::os::unix::fs::symlink(target, place.root.join(at)).unwrap();
    };
    link("../state/real.json", "grant/linked.json");
    link("../other", "grant/directory");
    std::fs::write(place.root.join("state/real.json"), "{}").unwrap();
    place.refuses(&[], &["grant"], &["grant/linked.json"], "in the place of");
    place.refuses(&[], &["grant"], &["grant/directory/x"], "in the place of");
    assert!(place.lay(&["grant"], &[], &["grant/linked.json"]).is_ok());
    // A link from outside leads to something that can be covered.
    link("grant/inner/config.json", "config.json");
    let layout = place.lay(&[], &["grant"], &["config.json"]).unwrap();
    assert_eq!(layout.covers, [place.root.join("grant/inner/config.json")]);
}

#[test]
fn what_is_hidden_in_the_system_is_covered_too() {
    let place = Place::new();
    let layout = place.lay(&[], &[], &["/usr/share"]).unwrap();
    assert_eq!(layout.covers, [PathBuf::from("/usr/share")]);
    assert_eq!(place.lay(&[], &[], &["/nowhere/x"]), Ok(Layout::default()));
}

#[test]
fn a_program_in_a_hidden_place_is_refused() {
    let place = Place::new();
    let confinement = Confinement {
        hidden: vec![place.root.join("state")],
        ..Confinement::default()
    };
    let needs = RuntimePaths {
        reads: [place.root.join("state/bin")].into(),
        ..RuntimePaths::default()
    };
    let laid = Layout::new(&confinement, needs, None);
    assert!(laid.unwrap_err().to_string().contains("program needs"));
}

#[test]
fn a_grant_within_a_grant_does_not_loosen_what_is_above_it() {
    let place = Place::new();
    let hidden = ["grant/inner/deep"];
    let layout = place.lay(&["grant/inner"], &["grant"], &hidden).unwrap();
    assert_eq!(layout.pins, [place.root.join("grant/inner")]);
}

#[test]
fn what_is_too_much_is_not_granted() {
    let place = Place::new();
    for path in ["/", "/home", "/tmp", "/etc", "/var", "/var/tmp"] {
        place.refuses(&[path], &[], &[], "too much");
    }
    for path in ["/proc", "/proc/1", "/sys", "/dev/null", "/run"] {
        place.refuses(&[path], &[], &[], "belongs to the system");
    }
    place.refuses(&[], &["/usr/share"], &[], "belongs to the system");
    assert_eq!(place.lay(&["/usr/share"], &[], &[]), Ok(Layout::default()));
    place.refuses(&["nowhere"], &[], &[], "cannot be granted");
}

#[test]
fn parents_come_before_what_is_below_them() {
    let place = Place::new();
    let layout = place.lay(&["grant"], &["grant/inner"], &[]).unwrap();
    let binds: Vec<_> = layout.binds.iter().map(|bind| bind.access).collect();
    assert_eq!(binds, [Access::Read, Access::Write]);
}

#[test]
fn a_working_directory_is_no_grant() {
    let place = Place::new();
    let confinement = Confinement::default();
    let lay = |cwd: &Path| Layout::new(&confinement, RuntimePaths::default(), Some(cwd));
    assert!(lay(&place.root).is_err());
    assert!(lay(Path::new("/usr/share")).is_ok());
    assert!(lay(Path::new("/tmp")).is_ok());
}

#[test]
fn the_lesser_tier_cannot_cover() {
    let place = Place::new();
    let confinement = Confinement {
        reads: vec![place.root.join("grant")],
        hidden: vec![place.root.join("grant/inner")],
        ..Confinement::new(Tier::Confined)
    };
    let laid = Layout::new(&confinement, RuntimePaths::default(), None);
    assert!(laid.unwrap_err().to_string().contains("cannot cover"));
}
