use super::*;

#[test]
fn reports_survive_the_lifeline() {
    let mut report = Report::bare(Tier::Full);
    report.enforced(Feature::Landlock, "Landlock ABI 7, all rights");
    report.missing(&Refusal {
        feature: Feature::Memory,
        errno: libc::EROFS,
        subject: String::new(),
    });
    let decoded = Report::decode(Tier::Full, &report.encode());
    assert_eq!(decoded, Some(report.clone()));
    assert!(!report.is_complete());
    assert_eq!(Report::decode(Tier::Full, "99 N\n"), None);
    assert_eq!(Report::decode(Tier::Full, "1 E\n"), None);
}

#[test]
fn a_refusal_names_part_cause_and_remedy() {
    let refusal = Refusal {
        feature: Feature::Namespaces,
        errno: libc::EPERM,
        subject: "clone".to_owned(),
    };
    let decoded = Refusal::decode(&refusal.encode());
    assert_eq!(decoded.as_ref(), Some(&refusal));
    assert_eq!(
        refusal.into_error().to_string(),
        "the server was not started, for want of: namespaces; unprivileged user namespaces are \
         refused, by AppArmor, a container's filter of system calls, or \
         `kernel.unprivileged_userns_clone` (clone); install the AppArmor profile of Portcullis, \
         or run it outside the container, or choose the tier `confined` for servers without \
         network"
    );
}

#[test]
fn every_feature_has_a_code_of_its_own() {
    for feature in FEATURES {
        assert_eq!(
            Feature::from_code(&feature.code().to_string()),
            Some(feature)
        );
    }
}
