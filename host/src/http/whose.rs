//! A request about the caller's own things, for which nobody's permission is needed, or with
//! permission about somebody else's: the request says which, and each has its own rules.

use axum::extract::{FromRequest, Request};

use super::{
    error::ApiError,
    permitted::{self, Caller, Input, Own, OwnInput, Permitted, Raw},
};
use crate::app::App;

pub enum Whose<O: Theirs> {
    Own(Own<O>),
    Other(Permitted<O::Other>),
}

/// What is read of a request that may be about either. Both take the same kind of body.
pub trait Theirs: OwnInput {
    /// The same for somebody else's.
    type Other: Input;

    /// Is it about the caller's own? Tells nobody anything: who may not do it to others' gets the
    /// same refusal whatever it names.
    fn is_own(raw: &Raw, caller: &Caller, app: &App) -> impl Future<Output = Result<bool, ApiError>> + Send;
}

impl<O: Theirs> FromRequest<App> for Whose<O> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (raw, caller) = permitted::raw(request, app, O::OPERATION, O::TAKES).await?;
        match O::is_own(&raw, &caller, app).await? {
            true => Own::decide(raw, caller, app).await.map(Self::Own),
            false => Permitted::decide(raw, caller, app).await.map(Self::Other),
        }
    }
}
