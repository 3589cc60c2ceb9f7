//! What an administrator's command does to grants and keys, and what has to be done now and then.

use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, ReadError, Revocation};
use portcullis_store::{Grant, RecordError};

use crate::server::AuthorizationServer;
use crate::server::keys::{KeysError, Rotation};
use crate::server::token::REVOKED_KEPT_MS;

const DAY_MS: u64 = 24 * 60 * 60_000;

/// How long a client that registered itself is kept though nobody ever consented to it, and how long after the last consent.
const UNUSED_KEPT_MS: u64 = DAY_MS;
const USED_KEPT_MS: u64 = 180 * DAY_MS;

/// Why housekeeping stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HousekeepError {
    /// The store refused.
    #[error("what has expired could not be forgotten")]
    Record(#[from] RecordError),
    /// The keys could not be rotated.
    #[error("the signing keys could not be kept in order")]
    Keys(#[from] KeysError),
}

impl AuthorizationServer {
    /// Rotates the signing keys when it is time, and forgets what has expired. To be called about once a minute.
    pub async fn housekeep(&self, now_ms: u64) -> Result<(), HousekeepError> {
        self.keys.keep(now_ms).await?;
        self.store.grants().forget(now_ms).await?;
        self.store.consents().forget(now_ms).await?;
        self.store.spent().forget(now_ms).await?;
        self.store.revocations().forget(now_ms).await?;
        self.store
            .oauth_clients()
            .forget(
                now_ms.saturating_sub(UNUSED_KEPT_MS),
                now_ms.saturating_sub(USED_KEPT_MS),
            )
            .await?;
        Ok(())
    }

    /// Changes the signing keys out of turn. `false` when a planned change is under way already.
    pub async fn rotate_keys(&self, rotation: Rotation, now_ms: u64) -> Result<bool, KeysError> {
        self.keys.rotate(rotation, now_ms).await
    }

    /// The grants in force, of one subject or all.
    pub async fn grants(
        &self,
        subject: Option<&str>,
        now_ms: u64,
    ) -> Result<Vec<Grant>, ReadError> {
        self.store
            .grants()
            .list(subject.map(str::to_owned), now_ms)
            .await
    }

    /// Revokes a grant with all its tokens. `false` when there was none in force.
    pub async fn revoke_grant(&self, id: &str, now_ms: u64) -> Result<bool, RecordError> {
        let event = AuthEvent {
            correlation: Some(id.into()),
            ..self.revocation(now_ms)
        };
        self.store
            .grants()
            .revoke(id.to_owned(), now_ms, REVOKED_KEPT_MS, event)
            .await
    }

    /// Revokes every grant, token and remembered consent of an account. Tells how many grants.
    pub async fn revoke_account(&self, account: &str, now_ms: u64) -> Result<usize, RecordError> {
        let event = AuthEvent {
            principal: Some(account.into()),
            ..self.revocation(now_ms)
        };
        let account = account.to_owned();
        self.store
            .consents()
            .withdraw(account.clone(), None)
            .await?;
        let grants = self
            .store
            .grants()
            .revoke_all(Some(account.clone()), None, now_ms, REVOKED_KEPT_MS, event)
            .await?;
        self.store
            .revocations()
            .add(revoked(format!("sub:{account}"), now_ms))
            .await?;
        Ok(grants)
    }

    /// Revokes every grant and token of a client, and forgets it if it registered itself. Tells how many grants.
    pub async fn revoke_client(&self, client: &str, now_ms: u64) -> Result<usize, RecordError> {
        let event = AuthEvent {
            client: Some(client.into()),
            ..self.revocation(now_ms)
        };
        let client = client.to_owned();
        self.store.oauth_clients().remove(client.clone()).await?;
        let grants = self
            .store
            .grants()
            .revoke_all(None, Some(client.clone()), now_ms, REVOKED_KEPT_MS, event)
            .await?;
        self.store
            .revocations()
            .add(revoked(format!("client:{client}"), now_ms))
            .await?;
        Ok(grants)
    }

    fn revocation(&self, now_ms: u64) -> AuthEvent {
        let kind = AuthEventKind::Revocation;
        AuthEvent {
            reason: Some("by_administrator"),
            ..self.event(now_ms, kind, AuthOutcome::Success, None)
        }
    }
}

/// Tokens issued up to now are dead; later ones are not.
fn revoked(id: String, now_ms: u64) -> Revocation {
    Revocation {
        id,
        before_ms: now_ms,
        until_ms: now_ms.saturating_add(REVOKED_KEPT_MS),
    }
}
