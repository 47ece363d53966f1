use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::policy_inputs::{Delete, DeleteQuery, Explain, ExplainBody, Get, List, Put, PutBody};
use crate::{
    app::App,
    http::{
        cursor,
        error::{ApiError, ApiResult, Kind},
        permitted::Permitted,
        query::PageQuery,
    },
    ids::{PolicyName, UserId},
    policy::{self, Judgement, Policies, Policy},
    users::{Explanation, Users, Who},
};

/// A text of policies as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
pub struct PolicyView {
    name: String,
    /// Left out of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
    /// 0: built in.
    version: u64,
    /// Always there, and not to be changed.
    built_in: bool,
    #[schema(required, format = DateTime)]
    updated_at: Option<String>,
    #[schema(required, value_type = Option<String>)]
    updated_by: Option<UserId>,
}

impl From<Policy> for PolicyView {
    fn from(policy: Policy) -> Self {
        Self {
            built_in: policy.is_built_in(),
            name: policy.name.into(),
            text: Some(policy.text),
            version: policy.version,
            updated_at: policy.updated_at.map(|time| time.to_string()),
            updated_by: policy.updated_by,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct ListedPolicies {
    policies: Vec<PolicyView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// All policies, without their texts.
#[utoipa::path(
    get,
    path = "/api/v1/sys/policies",
    operation_id = "list_policies",
    tag = "policies",
    params(PageQuery),
    responses((status = 200, description = "A page of them.", body = ListedPolicies))
)]
pub async fn list(
    State(app): State<App>,
    Permitted(permit, List(page), caller): Permitted<List>,
) -> ApiResult<Json<ListedPolicies>> {
    let after: Option<PolicyName> = cursor::after(&app, &caller, POLICIES, &page)?;
    let (policies, next) = app.policies.list(&permit, after.as_ref(), page.limit).await?;
    let next_cursor = next.map(|next| cursor::seal(&app, &caller, POLICIES, &next)).transpose()?;
    let policies = policies.into_iter().map(|policy| PolicyView { text: None, ..policy.into() }).collect();
    Ok(Json(ListedPolicies { policies, next_cursor }))
}

/// The listing that a cursor is for.
const POLICIES: &str = "policies";

/// One text of policies. `coffer` is the built-in one.
#[utoipa::path(
    get,
    path = "/api/v1/sys/policies/{name}",
    operation_id = "get_policy",
    tag = "policies",
    params(("name" = String, Path)),
    responses((status = 200, description = "The policy.", body = PolicyView))
)]
pub async fn get(
    State(policies): State<Policies>,
    Permitted(permit, ..): Permitted<Get>,
) -> ApiResult<Json<PolicyView>> {
    Ok(Json(policies.get(&permit).await.map_err(not_there)?.into()))
}

/// Puts a text of policies in force, if all of them together are sound.
#[utoipa::path(
    put,
    path = "/api/v1/sys/policies/{name}",
    operation_id = "put_policy",
    tag = "policies",
    params(("name" = String, Path)),
    request_body = PutBody,
    responses((status = 200, description = "The policy as it is now.", body = PolicyView))
)]
pub async fn put(
    State(policies): State<Policies>,
    Permitted(permit, input, _): Permitted<Put>,
) -> ApiResult<Json<PolicyView>> {
    let put = policies.change(&permit, input.0).await?;
    Ok(Json(put.ok_or_else(|| ApiError::internal("a policy that was put is gone"))?.into()))
}

/// What is no more.
#[derive(Serialize, ToSchema)]
pub struct DeletedPolicy {
    #[schema(value_type = String)]
    name: PolicyName,
}

/// Takes a text of policies out of force.
#[utoipa::path(
    delete,
    path = "/api/v1/sys/policies/{name}",
    operation_id = "delete_policy",
    tag = "policies",
    params(("name" = String, Path), DeleteQuery),
    responses((status = 200, description = "It is gone.", body = DeletedPolicy))
)]
pub async fn delete(
    State(policies): State<Policies>,
    Permitted(permit, input, _): Permitted<Delete>,
) -> ApiResult<Json<DeletedPolicy>> {
    policies.change(&permit, input.0).await.map_err(not_there)?;
    Ok(Json(DeletedPolicy { name: permit.into_resource().0 }))
}

/// Why something is allowed or not, and who can do it.
#[derive(Serialize, ToSchema)]
pub struct Explained {
    allowed: bool,
    /// `allowed by …`, `forbidden by …`, `no policy allows`, `scope`, `failed: …`
    reason: String,
    /// Those that decide it: the name of a text and the number of the policy in it, `apps/2`.
    policies: Vec<String>,
    /// At another time, from another address or longer after a login it may be otherwise.
    conditional: bool,
    /// The roles that the decision went by.
    roles: Vec<String>,
    /// Each role by itself, and the groups and users that policies name.
    who: Vec<Able>,
}

#[derive(Serialize, ToSchema)]
struct Able {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group: Option<String>,
    /// An id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    policies: Vec<String>,
    conditional: bool,
}

impl Able {
    fn new((who, judgement): (Who, Judgement)) -> Self {
        let Judgement { policies, conditional, .. } = judgement;
        let none = Self { role: None, group: None, user: None, username: None, policies, conditional };
        match who {
            Who::Role(role) => Self { role: Some(role.into()), ..none },
            Who::Group(group) => Self { group: Some(group), ..none },
            Who::User(user) => Self { user: Some(user.id.into()), username: Some(user.username.into()), ..none },
        }
    }
}

impl From<Explanation> for Explained {
    fn from(explanation: Explanation) -> Self {
        let Explanation { judgement, roles, who } = explanation;
        Self {
            allowed: judgement.allowed,
            reason: judgement.reason,
            policies: judgement.policies,
            conditional: judgement.conditional,
            roles: roles.into_iter().map(Into::into).collect(),
            who: who.into_iter().map(Able::new).collect(),
        }
    }
}

/// Would it be allowed, by which policy, and if not, why; and who can do it. Changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/sys/policies/explain",
    operation_id = "explain_policies",
    tag = "policies",
    request_body = ExplainBody,
    responses((status = 200, description = "The decision, taken apart.", body = Explained))
)]
pub async fn explain(
    State(users): State<Users>,
    Permitted(permit, input, _): Permitted<Explain>,
) -> ApiResult<Json<Explained>> {
    Ok(Json(users.explain(&permit, &input.0).await?.into()))
}

/// What the URL names, and is not there.
fn not_there(error: policy::Error) -> ApiError {
    match error {
        policy::Error::NotFound => ApiError::new(Kind::NotFound),
        other => other.into(),
    }
}
