//! Our values as Cedar's.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::LazyLock,
};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};

use super::{Caller, places};
use crate::{clock::Timestamp, ids};

pub struct Types {
    pub user: EntityTypeName,
    pub role: EntityTypeName,
    pub group: EntityTypeName,
    pub resource: EntityTypeName,
    pub action: EntityTypeName,
}

pub static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let name = |text| EntityTypeName::from_str(text).expect("a name of the schema");
    Types {
        user: name("User"),
        role: name("Role"),
        group: name("Group"),
        resource: name("Resource"),
        action: name("Action"),
    }
});

pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(include_str!("schema.cedarschema")).expect("the schema is one");
    schema
});

/// What a decision is asked about.
pub struct Question<'a> {
    pub caller: &'a Caller,
    pub action: ids::Action,
    pub path: &'a str,
    pub verb: &'a str,
}

pub fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

impl Question<'_> {
    /// The user, in roles and groups, and the resource, in the folders above it. Parents are
    /// told flat, so there is no closure to compute.
    pub fn entities(&self) -> Result<Entities, String> {
        let types = &*TYPES;
        let roles = self.caller.roles.iter().map(|role| uid(&types.role, role.as_str()));
        let groups = self.caller.groups.iter().map(|group| uid(&types.group, group));
        let home = RestrictedExpression::new_entity_uid(uid(&types.resource, &places::home(&self.caller.user)));
        let attributes = HashMap::from([("home".to_owned(), home)]);
        let user = Entity::new(uid(&types.user, self.caller.user.as_str()), attributes, roles.chain(groups).collect())
            .map_err(|error| error.to_string())?;
        let above: HashSet<_> = places::ancestors(self.path).map(|path| uid(&types.resource, path)).collect();
        let resource = Entity::new_no_attrs(uid(&types.resource, self.path), above);
        Entities::from_entities([user, resource], None).map_err(|error| error.to_string())
    }

    /// Without a context where no policy reads one.
    pub fn request(&self, now: Option<Timestamp>) -> Result<Request, String> {
        let types = &*TYPES;
        let context = now.map_or_else(|| Ok(Context::empty()), |now| self.context(now))?;
        let user = uid(&types.user, self.caller.user.as_str());
        let (action, resource) = (uid(&types.action, self.action.as_str()), uid(&types.resource, self.path));
        Request::new(user, action, resource, context, None).map_err(|error| error.to_string())
    }

    fn context(&self, now: Timestamp) -> Result<Context, String> {
        // Not within any range that a policy may name, except the range of all of IPv6.
        let ip = self.caller.address.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ip| ip.to_canonical());
        let address = [
            ("known".to_owned(), RestrictedExpression::new_bool(self.caller.address.is_some())),
            ("ip".to_owned(), RestrictedExpression::new_ip(ip.to_string())),
        ];
        let age = i64::try_from(now.since(self.caller.login_at).as_millis()).unwrap_or(i64::MAX);
        let pairs = [
            ("address", RestrictedExpression::new_record(address).map_err(|error| error.to_string())?),
            ("time", RestrictedExpression::new_long(now.millis())),
            ("method", RestrictedExpression::new_string(self.caller.method.to_string())),
            ("login_age_ms", RestrictedExpression::new_long(age)),
            ("verb", RestrictedExpression::new_string(self.verb.to_owned())),
        ];
        Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).map_err(|error| error.to_string())
    }
}
