use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, LeaseSpec, Result, Span, bindings, export};

/// A secrets engine whose answers have an end.
///
/// ```
/// use coffer_plugin_sdk::{Leases, effects, http, prelude::*, serde_json::json, testing::Host};
///
/// /// Lends roles of a service.
/// #[derive(Deserialize)]
/// struct Roles;
///
/// fn ask(request: &http::Request) -> Result<()> {
///     match http::send(request)?.status {
///         200..=299 | 404 => Ok(()),
///         _ => Err(Error::unavailable("the service refuses")),
///     }
/// }
///
/// impl Engine for Roles {
///     fn handle(&self, request: Request) -> Result<Response> {
///         let role = format!("https://roles.example/{}", request.path);
///         let lease = LeaseSpec::new(Span::from_secs(600), Span::from_secs(3600), &role)?;
///         // First what undoes it, then the deed: whatever dies in between, nothing is left behind.
///         effects::intend(&lease.internal)?;
///         ask(&http::Request::post(role.as_str()))?;
///         Ok(Response::json(&json!({ "role": role }))?.with_lease(lease))
///     }
/// }
///
/// impl Leases for Roles {
///     fn renew(&self, internal: Vec<u8>, increment_seconds: u64) -> Result<LeaseSpec> {
///         Ok(LeaseSpec { ttl_seconds: increment_seconds, max_ttl_seconds: 3600, renewable: true, internal })
///     }
///
///     fn revoke(&self, internal: Vec<u8>) -> Result<()> {
///         ask(&http::Request::new("DELETE", LeaseSpec::read::<String>(&internal)?))
///     }
/// }
///
/// let host = Host::new();
/// host.set_outside(|_| Ok(http::Response { status: 200, headers: Vec::new(), body: Vec::new() }));
/// let lease = host.handle::<Roles>("create", "app", json!({})).unwrap().lease.unwrap();
/// host.revoke::<Roles>(&lease.internal).unwrap();
/// // The service does not answer: nobody knows whether the role is there, and it is undone.
/// host.set_outside(|_| Err(Error::unavailable("no answer")));
/// host.handle::<Roles>("create", "app", json!({})).unwrap_err();
/// assert_eq!(host.undo::<Roles>(), 1, "not yet");
/// host.set_outside(|_| Ok(http::Response { status: 404, headers: Vec::new(), body: Vec::new() }));
/// assert_eq!(host.undo::<Roles>(), 0);
/// ```
pub trait Leases: DeserializeOwned {
    /// What holds from now on; its `internal` replaces the old one.
    fn renew(&self, internal: Vec<u8>, increment_seconds: u64) -> Result<LeaseSpec>;

    /// Idempotent: what is gone already is success.
    fn revoke(&self, internal: Vec<u8>) -> Result<()>;
}

impl LeaseSpec {
    /// A renewable one. `internal` is what `renew` and `revoke` are to know.
    pub fn new(ttl: Span, max_ttl: Span, internal: &(impl Serialize + ?Sized)) -> Result<Self> {
        let internal = serde_json::to_vec(internal).map_err(|_| Error::internal("a lease that does not serialise"))?;
        Ok(Self { ttl_seconds: ttl.as_secs(), max_ttl_seconds: max_ttl.as_secs(), renewable: true, internal })
    }

    /// What `new` was given.
    pub fn read<T: DeserializeOwned>(internal: &[u8]) -> Result<T> {
        serde_json::from_slice(internal).map_err(|_| Error::internal("a lease that is none of this plugin's"))
    }
}

impl<P: Leases> bindings::leases::exports::coffer::plugin::leases::Guest for P {
    fn renew(internal: Vec<u8>, increment_seconds: u64) -> Result<LeaseSpec> {
        export::begin::<P>()?.renew(internal, increment_seconds)
    }

    fn revoke(internal: Vec<u8>) -> Result<()> {
        export::begin::<P>()?.revoke(internal)
    }
}
