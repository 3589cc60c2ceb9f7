//! Accounts: their names, and what an administrator's command does to them.
//!
//! Each function changes the store and its record in one transaction, and may run in another process than the gateway. The pages
//! where people use what is made here are those of [`login`](crate::login).

use std::fmt;
use std::str::FromStr;

use portcullis_store::{
    Account, AccountLink, AuthEvent, AuthEventKind, AuthOutcome, Identity, NewAccount, ReadError,
    RecordError, Revocation, Store,
};
use zeroize::Zeroizing;

use crate::secret::{self, NoRandomness};

/// How long an invitation or reset may be used.
pub const LINK_MS: u64 = 72 * 60 * 60 * 1000;

/// How long a revocation of an account is kept: longer than any of its grants lives.
pub const REVOCATION_MS: u64 = 400 * 24 * 60 * 60 * 1000;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The longest display name or group, in characters.
const TEXT_CHARS_MAX: usize = 128;

/// The most groups of an account.
const GROUPS_MAX: usize = 200;

/// What an invitation or reset begins with.
pub(crate) const LINK_PREFIX: &str = "pci_";

/// The name of an account: lower-case letters, digits and `._@-`, not first one of those.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(Box<str>);

/// A text that is no name of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an account's name has 1 to 64 of the characters `a-z0-9._@-` and begins with a letter or digit"
)]
pub struct InvalidName;

/// A text that is no display name or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a display name or group has 1 to 128 characters and no control characters; 200 groups at most"
)]
pub struct InvalidText;

/// What could not be done to an account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is none of that name.
    #[error("there is no account `{0}`; list them with `portcullis user list`")]
    Unknown(AccountName),
    /// There is one of that name.
    #[error("there is an account `{0}` already; reset it, or choose another name")]
    Taken(AccountName),
    /// Somebody at a provider logs in to another account already.
    #[error(
        "this subject of the provider logs in to another account, or there is no account `{0}`"
    )]
    Linked(AccountName),
    /// A display name or group cannot be used.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store did not write it.
    #[error("the account could not be written")]
    Record(#[from] RecordError),
    /// The store did not read it.
    #[error("the accounts could not be read")]
    Read(#[from] ReadError),
}

/// An account to be invited.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Its name, which never changes.
    pub name: AccountName,
    /// What pages call it.
    pub display: String,
    /// The groups it is in.
    pub groups: Vec<Box<str>>,
    /// Whether it administers the gateway.
    pub is_admin: bool,
}

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let begins = text.bytes().next().is_some_and(letter);
        let goes_on = text
            .bytes()
            .all(|byte| letter(byte) || b"._@-".contains(&byte));
        if begins && goes_on && text.len() <= NAME_BYTES_MAX {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName)
        }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes an account without a password. What is returned lets its owner choose one, once and within [`LINK_MS`], at
/// `/oauth/account/invitation`; it is not kept.
pub async fn invite(
    store: &Store,
    invitation: &Invitation,
    now_ms: u64,
) -> Result<Zeroizing<String>, AccountError> {
    check_text(&invitation.display)?;
    check_groups(&invitation.groups)?;
    let (token, link) = link(now_ms)?;
    let name = &invitation.name;
    let new = NewAccount {
        name: name.to_string(),
        display: invitation.display.clone(),
        groups: invitation.groups.clone(),
        is_admin: invitation.is_admin,
    };
    let made = store
        .accounts()
        .invite(new, link, event(now_ms, name, "invited"))
        .await?;
    if made {
        Ok(token)
    } else {
        Err(AccountError::Taken(name.clone()))
    }
}

/// Takes an account's password and second factor away, ends its sessions and revokes its tokens. What is returned lets its owner
/// choose a password anew, as [`invite`] says.
pub async fn reset(
    store: &Store,
    name: &AccountName,
    now_ms: u64,
) -> Result<Zeroizing<String>, AccountError> {
    let (token, link) = link(now_ms)?;
    let event = event(now_ms, name, "reset");
    let found = store
        .accounts()
        .reset(name.as_str(), link, revocation(name, now_ms), event)
        .await?;
    found
        .then_some(token)
        .ok_or_else(|| AccountError::Unknown(name.clone()))
}

/// Forbids an account to log in, ends its sessions and revokes its tokens and API keys.
pub async fn disable(store: &Store, name: &AccountName, now_ms: u64) -> Result<(), AccountError> {
    let event = event(now_ms, name, "disabled");
    let found = store
        .accounts()
        .disable(name.as_str(), revocation(name, now_ms), event)
        .await?;
    known(found, name)
}

/// Lets a disabled account log in again.
pub async fn enable(store: &Store, name: &AccountName, now_ms: u64) -> Result<(), AccountError> {
    let event = event(now_ms, name, "enabled");
    let found = store.accounts().enable(name.as_str(), event).await?;
    known(found, name)
}

/// Removes an account with all that belongs to it, ends its sessions and revokes its tokens and API keys.
pub async fn remove(store: &Store, name: &AccountName, now_ms: u64) -> Result<(), AccountError> {
    let event = event(now_ms, name, "removed");
    let found = store
        .accounts()
        .remove(name.as_str(), revocation(name, now_ms), event)
        .await?;
    known(found, name)
}

/// Lets `subject` of the configured `provider` log in to an account.
pub async fn link_identity(
    store: &Store,
    name: &AccountName,
    provider: &str,
    subject: &str,
    now_ms: u64,
) -> Result<(), AccountError> {
    let identity = Identity {
        provider: provider.to_owned(),
        subject: subject.to_owned(),
    };
    let linked = store
        .accounts()
        .link_identity(name.as_str(), identity, event(now_ms, name, "linked"))
        .await?;
    if linked {
        Ok(())
    } else {
        Err(AccountError::Linked(name.clone()))
    }
}

/// The accounts, by name.
pub async fn list(store: &Store) -> Result<Vec<Account>, AccountError> {
    Ok(store.accounts().list().await?)
}

/// Whether `text` is a display name or group.
pub(crate) fn check_text(text: &str) -> Result<(), InvalidText> {
    let length = text.chars().count();
    if length == 0 || length > TEXT_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(InvalidText);
    }
    Ok(())
}

/// Whether these may be the groups of an account.
pub(crate) fn check_groups(groups: &[Box<str>]) -> Result<(), InvalidText> {
    if groups.len() > GROUPS_MAX {
        return Err(InvalidText);
    }
    groups.iter().try_for_each(|group| check_text(group))
}

fn known(found: bool, name: &AccountName) -> Result<(), AccountError> {
    if found {
        Ok(())
    } else {
        Err(AccountError::Unknown(name.clone()))
    }
}

fn link(now_ms: u64) -> Result<(Zeroizing<String>, AccountLink), NoRandomness> {
    let token = secret::generate(LINK_PREFIX)?;
    let link = AccountLink {
        digest: secret::sha256(token.as_bytes()),
        expires_ms: now_ms.saturating_add(LINK_MS),
    };
    Ok((token, link))
}

fn revocation(name: &AccountName, now_ms: u64) -> Revocation {
    Revocation {
        id: format!("sub:{name}"),
        before_ms: now_ms,
        until_ms: now_ms.saturating_add(REVOCATION_MS),
    }
}

fn event(now_ms: u64, name: &AccountName, reason: &'static str) -> AuthEvent {
    AuthEvent {
        reason: Some(reason),
        principal: Some(name.as_str().into()),
        ..AuthEvent::new(now_ms, AuthEventKind::Account, AuthOutcome::Success)
    }
}

#[cfg(test)]
mod tests;
