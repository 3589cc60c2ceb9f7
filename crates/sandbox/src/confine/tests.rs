use super::*;

fn confined(command: &Command, confinement: &Confinement) -> Result<Plan, SpawnError> {
    let mut plan = command.resolve()?;
    confine(&mut plan, command, confinement)?;
    Ok(plan)
}

fn command(args: &[&str]) -> Command {
    Command {
        program: "sh".to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![("HOME".to_owned(), "/root".to_owned())],
        cwd: None,
    }
}

#[test]
fn what_is_not_to_be_confined_stays_as_it_is() {
    let plain = command(&[]).resolve().unwrap();
    for tier in [Tier::Off, Tier::External] {
        let confined = confined(&command(&[]), &Confinement::new(tier)).unwrap();
        assert_eq!(confined, plain);
    }
}

#[test]
fn the_environment_fits_the_inside() {
    let confinement = Confinement {
        network: Network::Guarded,
        ..Confinement::default()
    };
    let plan = confined(&command(&[]), &confinement).unwrap();
    let get = |name: &str| {
        let mut values = plan.env.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} twice");
        value
    };
    assert_eq!(get("HOME"), Some("/home/portcullis"));
    assert_eq!(get("https_proxy"), Some("http://127.0.0.1:3128"));
    assert_eq!(plan.cwd.as_deref(), Some(OsStr::new(HOME)));
}

#[test]
fn a_user_id_belongs_to_a_command() {
    let confinement = Confinement::default();
    let uid = |args: &[&str]| {
        confined(&command(args), &confinement)
            .unwrap()
            .jail
            .unwrap()
            .uid
    };
    assert_eq!(uid(&["a"]), uid(&["a"]));
    assert_ne!(uid(&["a"]), uid(&["b"]));
    assert_ne!(uid(&["a", "b"]), uid(&["ab"]));
    assert!(UIDS.contains(&uid(&[])));
    for uid in [0, u32::MAX] {
        let root = Confinement {
            uid: Some(uid),
            ..Confinement::default()
        };
        assert!(confined(&command(&[]), &root).is_err());
    }
}

#[test]
fn the_lesser_tier_has_no_doors() {
    let confinement = Confinement {
        network: Network::Guarded,
        ..Confinement::new(Tier::Confined)
    };
    let error = confined(&command(&[]), &confinement).unwrap_err();
    assert!(error.to_string().contains("tier `full`"), "{error}");
}
