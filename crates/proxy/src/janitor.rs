//! Lets go, now and then, of what nobody uses any more.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::runtime::Runtime;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(15);
/// How often, in rounds, it looks at what is kept on the disk.
const ROUNDS_ON_DISK: u32 = 240;
/// How long an unused shared link is kept.
const LINK_LIFE: Duration = Duration::from_mins(10);

/// Tidies until the runtime's holder has gone.
pub(crate) async fn tidy(runtime: Weak<ArcSwap<Runtime>>) {
    let mut every = tokio::time::interval(EVERY);
    let mut rounds = 0_u32;
    loop {
        every.tick().await;
        let Some(runtime) = runtime.upgrade() else {
            return;
        };
        let runtime: Arc<Runtime> = runtime.load_full();
        let now = Instant::now();
        runtime
            .shared
            .sessions
            .expire(now, runtime.limits.session_idle_timeout.get());
        runtime.shared.parked.expire(now);
        runtime.shared.links.expire(&runtime, now, LINK_LIFE);
        if rounds.is_multiple_of(ROUNDS_ON_DISK) {
            let today = runtime.clock.now();
            if let Err(error) = runtime.pipeline.forget_approvals(today).await {
                tracing::warn!(%error, "old questions to people are not forgotten");
            }
        }
        rounds = rounds.wrapping_add(1);
    }
}
