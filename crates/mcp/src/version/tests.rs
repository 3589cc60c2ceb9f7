use super::*;

#[test]
fn revisions_are_read_exactly_and_ordered() {
    for version in Version::ALL {
        assert_eq!(Version::parse(version.as_str()), Some(version));
        assert_eq!(version.to_string(), version.as_str());
    }
    for text in [
        "",
        "2025-11-25 ",
        "2025-11-2",
        "2025-11-26",
        "2026-07-28-draft",
        "DRAFT-2026-v1",
    ] {
        assert_eq!(Version::parse(text), None, "{text}");
    }
    assert!(Version::ALL.is_sorted());
    assert_eq!(Version::ALL.last(), Some(&Version::LATEST));
    assert_eq!(Version::LEGACY.last(), Some(&Version::LATEST_LEGACY));
}

#[test]
fn the_modern_era_begins_with_2026_07_28() {
    for version in Version::ALL {
        let era = if version >= Version::V2026_07_28 {
            Era::Modern
        } else {
            Era::Legacy
        };
        assert_eq!(version.era(), era);
    }
    assert!(
        Version::LEGACY
            .iter()
            .all(|version| version.era() == Era::Legacy)
    );
}
