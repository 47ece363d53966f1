use super::{Authenticated, Client, Error, Login, Refusal, Wish, bounds::tightest};
use crate::{
    runtime::types::SessionLimits,
    session::{EpochsOf, Error as SessionError, NewSession, Tokens},
};

impl Login {
    /// A session below the caller's own: same user, nothing wider, no refresh token, and it ends
    /// with its parent. How a person or a program hands out narrow or one-time tokens.
    pub async fn child(&self, parent: &Authenticated, wish: Wish, client: Client) -> Result<Tokens, Error> {
        let session = &parent.session;
        if session.max_uses.is_some() {
            return Err(Refusal::Limited.into());
        }
        let asked = wish.scope.clone().map(|scope| scope.of(&session.user));
        let scope = match (asked, session.scope.clone()) {
            (Some(asked), Some(own)) if !asked.is_within(&own) => return Err(SessionError::Wider("scope").into()),
            (Some(asked), _) => Some(asked),
            (None, own) => own,
        };
        let of = EpochsOf {
            user: Some(session.user.clone()),
            mount: Some(session.mount.clone()),
            digest: Some(session.plugin.clone()),
            client: session.client.clone(),
        };
        let epochs = self.sessions.epochs(&of).await?;
        let limits = SessionLimits { addresses: session.addresses.clone(), ..SessionLimits::default() };
        let bounds = tightest(&self.security.rules(), &limits, &wish, &client)?;
        let new = NewSession {
            user: session.user.clone(),
            mount: session.mount.clone(),
            method: session.method.clone(),
            subject: session.subject.clone(),
            groups: session.groups.clone(),
            plugin: session.plugin.clone(),
            client: session.client.clone(),
            scope,
            addresses: bounds.addresses,
            max_uses: bounds.max_uses,
            lifetimes: bounds.lifetimes,
            renewable: false,
            internal: Vec::new(),
            epochs,
            parent: Some(session.id.clone()),
            address: client.address,
            device: client.device,
            login_at: session.login_at,
            by_device_flow: session.by_device_flow,
            per_user: Some(self.per_user()),
        };
        Ok(self.sessions.create(new).await?)
    }
}
