use std::sync::Arc;

use async_trait::async_trait;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{Refusal, refusal};

/// Where every request is written down, before it is sent and after.
#[async_trait]
pub trait Trail: Send + Sync {
    /// Returns when it is kept. Otherwise nothing is sent, and no answer told.
    async fn record(&self, outgoing: &OutgoingRequest) -> Result<(), Unrecorded>;
}

#[derive(Clone, Copy, Debug)]
pub struct Unrecorded;

/// One that a guest sends, as it is written down.
#[derive(Clone, Debug)]
pub struct OutgoingRequest {
    pub mount: String,
    /// The request that led to it, if one did.
    pub request: String,
    pub method: &'static str,
    /// `host:port`; empty if the URL names none.
    pub to: String,
    /// Name of the credential that goes with it.
    pub credential: Option<String>,
    pub stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It is about to be sent.
    Begun,
    /// With this status.
    Answered(u16),
    /// Why not, in words of ours.
    Failed(&'static str),
}

const UNRECORDED: Refusal = refusal("unavailable", "the request cannot be recorded");
const GIVEN_UP: Stage = Stage::Failed("the call was given up");

/// A request whose end has not been written down. It will be, whoever goes away meanwhile.
pub(super) struct Open {
    trail: Arc<dyn Trail>,
    outgoing: Option<OutgoingRequest>,
}

impl Open {
    pub(super) fn new(trail: Arc<dyn Trail>, outgoing: OutgoingRequest) -> Self {
        Self { trail, outgoing: Some(OutgoingRequest { stage: GIVEN_UP, ..outgoing }) }
    }

    /// It is about to be sent, with this credential.
    pub(super) async fn begun(&mut self, credential: Option<&str>) -> Result<(), Refusal> {
        let Some(outgoing) = &mut self.outgoing else { return Err(UNRECORDED) };
        outgoing.credential = credential.map(str::to_owned);
        let begun = OutgoingRequest { stage: Stage::Begun, ..outgoing.clone() };
        self.trail.record(&begun).await.map_err(|Unrecorded| UNRECORDED)
    }

    pub(super) async fn ended(mut self, stage: Stage) -> Result<(), Refusal> {
        match self.close(stage) {
            Some(writing) => writing.await.ok().and_then(Result::ok).ok_or(UNRECORDED),
            None => Err(UNRECORDED),
        }
    }

    /// On its own, so that it is done even if nobody waits for it any more.
    fn close(&mut self, stage: Stage) -> Option<JoinHandle<Result<(), Unrecorded>>> {
        let (outgoing, trail) = (OutgoingRequest { stage, ..self.outgoing.take()? }, self.trail.clone());
        Some(Handle::try_current().ok()?.spawn(async move { trail.record(&outgoing).await }))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        drop(self.close(GIVEN_UP));
    }
}
