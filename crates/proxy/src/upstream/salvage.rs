//! Whose answer a message was that cannot be accepted.

/// The longest id of ours, in digits.
const DIGITS_MAX: usize = 19;

/// The one request in progress whose id `message` seems to carry; `None` when there is no such id
/// or more than one. Only good for ending a request early: the message is not believed in anything
/// else, and a server that lies about the id harms its own answers.
pub(super) fn claimed_id(message: &[u8], is_in_progress: impl Fn(i64) -> bool) -> Option<i64> {
    let mut claimed = None;
    let mut rest = message;
    while let Some(start) = rest.windows(4).position(|window| window == b"\"id\"") {
        rest = rest.get(start + 4..).unwrap_or_default();
        let Some(id) = number_behind_colon(rest).filter(|id| is_in_progress(*id)) else {
            continue;
        };
        if claimed.is_some_and(|other| other != id) {
            return None;
        }
        claimed = Some(id);
    }
    claimed
}

fn number_behind_colon(text: &[u8]) -> Option<i64> {
    let value = text
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start();
    let length = value
        .iter()
        .take(DIGITS_MAX)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(value.get(..length)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
