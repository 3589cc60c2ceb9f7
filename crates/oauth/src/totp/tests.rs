use super::*;

const SECRET: &[u8] = b"12345678901234567890";

fn totp() -> Totp {
    Totp::new(SECRET, "gw.example", "ada").unwrap()
}

#[test]
fn codes_are_those_of_rfc_6238() {
    // Appendix B, cut to six digits.
    for (seconds, code) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_234_567_890, "005924"),
        (20_000_000_000, "353130"),
    ] {
        let step = totp().step_of(code, 0, seconds * 1000);
        assert_eq!(step, Some(seconds / 30), "{seconds}");
    }
}

#[test]
fn a_code_counts_a_step_early_and_late_and_no_more() {
    let at = 1_111_111_109_u64 / 30;
    for (step, counts) in [
        (at - 2, false),
        (at - 1, true),
        (at + 1, true),
        (at + 2, false),
    ] {
        let found = totp().step_of("081804", 0, step * 30_000);
        assert_eq!(found.is_some(), counts, "{step}");
    }
}

#[test]
fn a_used_step_does_not_count_again() {
    let step = totp().step_of("287082", 0, 59_000).unwrap();
    assert_eq!(totp().step_of("287082", step, 59_000), None);
}

#[test]
fn what_is_no_code_does_not_count() {
    for code in ["", "28708", "0287082", "２８７０８２", "000000"] {
        assert_eq!(totp().step_of(code, 0, 59_000), None, "{code}");
    }
}

#[test]
fn the_address_names_issuer_and_account() {
    let address = totp().address();
    assert!(address.starts_with("otpauth://totp/gw.example:ada?secret="));
    assert!(!format!("{:?}", totp()).contains(&**totp().base32()));
}

#[test]
fn a_recovery_code_is_recognised_however_it_is_typed() {
    let codes = recovery_codes().unwrap();
    assert_eq!(codes.len(), 10);
    let code = &codes[0];
    assert_eq!(code.len(), 19);
    let typed = code.replace('-', " ").to_uppercase();
    assert_eq!(recovery_digest(&typed), recovery_digest(code));
    assert_ne!(recovery_digest(&codes[1]), recovery_digest(code));
}
