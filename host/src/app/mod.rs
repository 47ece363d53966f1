//! The wiring: which service is made of what, and what runs beside the requests.
//!
//! Owns start, upkeep and stop. Contains no rules. One more service is one more field of `App`.

mod dev;
mod egress;
mod error;
mod news;
mod start;
mod upkeep;

pub use dev::DevAccess;
pub use error::Error;

use crate::{
    audit::Audit, barrier::Barrier, clock::Clock, fence::Fence, lease::Leases, login::Login, operate::Operate,
    plugins::Plugins, policy::Policies, secrets::Secrets, session::Sessions, settings::Settings, shared::Link,
    storage::Storage, telemetry::Telemetry, users::Users,
};

/// Every service by value, each a cheap handle.
#[derive(Clone, Debug)]
pub struct App {
    pub audit: Audit,
    pub barrier: Barrier,
    pub clock: Clock,
    pub fence: Fence,
    pub leases: Leases,
    /// To Redis, where sessions are kept there.
    link: Option<Link>,
    pub login: Login,
    pub operate: Operate,
    pub plugins: Plugins,
    pub policies: Policies,
    pub secrets: Secrets,
    pub sessions: Sessions,
    pub settings: Settings,
    pub storage: Storage,
    pub telemetry: Telemetry,
    pub users: Users,
}
