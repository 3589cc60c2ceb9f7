//! Passwords: which are fit, their hashes (argon2id, RFC 9106), and how much of that may go on at a time.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::{Semaphore, TryAcquireError};
use zeroize::Zeroizing;

use crate::secret::{self, NoRandomness};

/// The fewest characters of a password (NIST SP 800-63B §3.1.1.2, and some more).
pub const CHARS_MIN: usize = 12;

/// The longest password, in bytes.
pub const BYTES_MAX: usize = 1024;

/// How many hashes are computed at a time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;

/// How many may wait for their turn; the rest are told to come back.
const WAITING_MAX: usize = 64;

/// OWASP's parameters for argon2id: memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Passwords that are guessed first, in lower case, a line each.
const COMMON: &str = include_str!("password/common.txt");

/// Computes hashes, a few at a time.
#[derive(Debug)]
pub struct Passwords {
    hasher: Argon2<'static>,
    turns: Arc<Semaphore>,
    places: Semaphore,
    /// What an unknown account's password is compared with, so that it takes as long as a known one's.
    decoy: String,
}

/// What a comparison says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not the password, or there is none.
    Wrong,
    /// It is the password.
    Right {
        /// Its hash by today's parameters, when it was kept with others.
        rehashed: Option<String>,
    },
}

/// A password that may not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too short.
    #[error("Choose a password of at least 12 characters.")]
    Short,
    /// Too long.
    #[error("Choose a password of at most 1024 bytes.")]
    Long,
    /// It has the account's name in it, or is in the name.
    #[error("Choose a password without your account's name.")]
    Name,
    /// It is one that is guessed first.
    #[error("This password is too common. A few unrelated words make a good one.")]
    Common,
}

/// A hash that could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many others wait.
    #[error("too many passwords are being checked; try again in a few seconds")]
    Busy,
    /// The computation failed.
    #[error("a password could not be hashed")]
    Hash(#[source] argon2::password_hash::Error),
    /// The computation was stopped.
    #[error("the hashing of a password was stopped; the gateway is shutting down")]
    Stopped,
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Whether `password` may be chosen for the account `name`.
pub fn check(password: &str, name: &str) -> Result<(), Unfit> {
    if password.len() > BYTES_MAX {
        return Err(Unfit::Long);
    }
    if password.chars().count() < CHARS_MIN {
        return Err(Unfit::Short);
    }
    let lower = Zeroizing::new(password.to_lowercase());
    let local = name.split('@').next().unwrap_or(name);
    if name.contains(lower.as_str()) || (local.len() >= 4 && lower.contains(local)) {
        return Err(Unfit::Name);
    }
    // Decoration and repetition do not hide a common word from those who guess.
    let stem: Zeroizing<String> =
        Zeroizing::new(lower.chars().filter(|char| char.is_alphabetic()).collect());
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let common = |word: &str| {
        word == lower.as_str() || (!word.is_empty() && is_repetition(stem.as_str(), word))
    };
    if distinct.len() < 5 || COMMON.lines().any(common) {
        return Err(Unfit::Common);
    }
    Ok(())
}

fn is_repetition(text: &str, word: &str) -> bool {
    !text.is_empty() && text.replace(word, "").is_empty()
}

impl Passwords {
    /// Ready to hash.
    pub fn new() -> Result<Self, HashError> {
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, None)
            .map_err(|error| HashError::Hash(error.into()))?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&hasher, secret::generate("")?.as_bytes())?;
        Ok(Self {
            hasher,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            places: Semaphore::new(AT_ONCE + WAITING_MAX),
            decoy,
        })
    }

    /// The hash of a password, as a PHC string.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String, HashError> {
        let hasher = self.hasher.clone();
        self.run(move || hash(&hasher, password.as_bytes())).await
    }

    /// Compares a password with a hash. Takes as long without one.
    pub async fn verify(
        &self,
        password: Zeroizing<String>,
        kept: Option<String>,
    ) -> Result<Verdict, HashError> {
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.decoy.clone());
        let hasher = self.hasher.clone();
        self.run(move || {
            let Ok(kept) = PasswordHash::new(&kept) else {
                tracing::error!("the hash of a password cannot be read; reset the account");
                return Ok(Verdict::Wrong);
            };
            let right = hasher.verify_password(password.as_bytes(), &kept).is_ok();
            if !right || !known {
                return Ok(Verdict::Wrong);
            }
            let rehashed = if is_current(&kept, hasher.params()) {
                None
            } else {
                Some(hash(&hasher, password.as_bytes())?)
            };
            Ok(Verdict::Right { rehashed })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let _place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits) => return Err(HashError::Busy),
            Err(TryAcquireError::Closed) => return Err(HashError::Stopped),
        };
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return Err(HashError::Stopped);
        };
        let task = tokio::task::spawn_blocking(move || {
            let answer = work();
            // Kept to the end of the work, also when nobody waits for it any more.
            drop(turn);
            answer
        });
        match task.await {
            Ok(answer) => answer,
            Err(_stopped) => Err(HashError::Stopped),
        }
    }
}

fn hash(hasher: &Argon2<'_>, password: &[u8]) -> Result<String, HashError> {
    let salt = secret::random::<16>()?;
    hasher
        .hash_password_with_salt(password, &salt)
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(HashError::Hash)
}

fn is_current(kept: &PasswordHash, params: &Params) -> bool {
    let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    kept.algorithm == argon2::ARGON2ID_IDENT
        && Params::try_from(kept).is_ok_and(|own| costs(&own) == costs(params))
}

#[cfg(test)]
mod tests;
