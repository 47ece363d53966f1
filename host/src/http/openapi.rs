//! `openapi.json`: what all operations share. The operations themselves stand beside their
//! handlers, as `#[utoipa::path]`; `document` puts both together.

use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        Content, Ref, RefOr, Response, ResponseBuilder,
        path::{Operation, PathItem},
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::error::Kind;

/// The one shape of errors.
#[derive(ToSchema)]
#[schema(as = Error)]
#[expect(dead_code, reason = "only its schema is used; `error` writes the shape")]
pub struct ErrorBody {
    detail: Vec<ErrorDetail>,
    /// The same as `X-Request-Id`.
    request_id: String,
    /// On token endpoints: OAuth's code (RFC 6749 section 5.2, RFC 8628 section 3.5).
    #[schema(required = false)]
    error: Option<String>,
    #[schema(required = false)]
    error_description: Option<String>,
    /// With `challenge_required`: the next step of a login.
    #[schema(required = false)]
    challenge: Option<Challenge>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct ErrorDetail {
    /// Where: `body`, `query`, `path` or `header`, then names and indices. Empty: no place.
    loc: Vec<Place>,
    msg: String,
    /// From the list in the description of this document; for a plugin's refusal, the plugin's.
    r#type: String,
}

#[derive(serde::Serialize, ToSchema)]
#[serde(untagged)]
pub enum Place {
    Name(String),
    Index(u32),
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Challenge {
    id: String,
    kind: String,
    details: serde_json::Map<String, serde_json::Value>,
    /// Seconds.
    expires_in: u64,
    /// Seconds between two polls.
    #[schema(required = false)]
    interval: Option<u64>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Coffer", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    components(schemas(ErrorBody, ErrorDetail, Place, Challenge)),
    security(("bearer" = [])),
    modifiers(&Common)
)]
struct Base;

/// The whole document: what the routes say, with what is true of all of them.
pub fn document(mut routes: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for item in routes.paths.paths.values_mut() {
        each_operation(item, |operation| {
            let shared = RefOr::Ref(Ref::from_response_name("Error"));
            operation.responses.responses.entry("default".to_owned()).or_insert(shared);
        });
    }
    let mut document = Base::openapi();
    document.merge(routes);
    document
}

fn each_operation(item: &mut PathItem, change: impl FnMut(&mut Operation)) {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten().for_each(change);
}

struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.info.description = Some(description());
        let components = document.components.get_or_insert_default();
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some("An access token, as `auth/token/create` gives them.".to_owned());
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let mut client = Http::new(HttpAuthScheme::Basic);
        client.description = Some("Id and secret of a machine, each form-encoded (RFC 6749 section 2.3.1).".to_owned());
        components.add_security_scheme("client", SecurityScheme::Http(client));
        components.responses.insert("Error".to_owned(), RefOr::T(refusal()));
    }
}

fn refusal() -> Response {
    let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Error"))));
    ResponseBuilder::new().description("What was wrong, in one shape.").content("application/json", content).build()
}

/// The documented list of types is the table itself.
fn description() -> String {
    let rows = Kind::ALL.iter().map(|kind| format!("| {} | `{}` | {} |\n", kind.status(), kind.code(), kind.message()));
    format!(
        "A secrets server. Every refusal has the shape `Error`; its `type` is one of these:\n\n\
         | status | type | |\n|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[utoipa::path(get, path = "/api/v1/x", responses((status = 200, description = "well")))]
    #[expect(dead_code, reason = "an operation for the test")]
    fn operation() {}

    #[derive(OpenApi)]
    #[openapi(paths(operation))]
    struct Routes;

    fn told() -> Value {
        serde_json::to_value(document(Routes::openapi())).unwrap()
    }

    #[test]
    fn every_operation_can_answer_with_the_shape_of_errors() {
        let told = told();
        let responses = &told["paths"]["/api/v1/x"]["get"]["responses"];
        assert_eq!(responses["default"]["$ref"], "#/components/responses/Error");
        assert_eq!(responses["200"]["description"], "well");
        let media = &told["components"]["responses"]["Error"]["content"]["application/json"];
        assert_eq!(media["schema"]["$ref"], "#/components/schemas/Error");
        assert_eq!(told["components"]["schemas"]["Error"]["required"], json!(["detail", "request_id"]));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let told = told();
        let text = told.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(told.pointer(reference).is_some(), "{reference}");
        }
        assert_eq!(told["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    }

    #[test]
    fn the_documented_types_are_all_there_are() {
        let description = told()["info"]["description"].as_str().unwrap().to_owned();
        assert!(Kind::ALL.iter().all(|kind| description.contains(&format!("`{}`", kind.code()))));
    }
}
