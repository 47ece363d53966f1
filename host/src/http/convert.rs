//! What each module's errors are on the outside: mapped once, exhaustively, so that a new variant
//! does not compile until somebody has decided.

use serde_json::Value;

use super::error::{ApiError, Detail, Kind, Step};
use crate::{
    barrier, catalog, directory, lease, login, mount, operate, plugins, policy,
    problem::Problem,
    runtime::{Fault, types::GuestError},
    secrets, session, settings, throttle, users,
};

/// Problems with a body, of which it is no longer known what was an array.
fn body(problems: Vec<Problem>) -> ApiError {
    ApiError::problems("body", problems, &Value::Null)
}

impl From<barrier::Error> for ApiError {
    fn from(error: barrier::Error) -> Self {
        use barrier::Error as E;
        let kind = match &error {
            E::Sealed => Kind::Sealed,
            E::Conflict | E::Away(_) | E::Unknown(_) => Kind::Unavailable,
            E::TooLarge(_) => Kind::BodyTooLarge,
            E::Corrupt(_) => Kind::Internal,
            E::Key(why) => return Self::because(Kind::InvalidValue, ["body", "share"], why),
            E::Seal(why) => return Self::because(Kind::InvalidValue, ["body"], why),
        };
        Self::new(kind).caused_by(error)
    }
}

impl From<session::Error> for ApiError {
    fn from(error: session::Error) -> Self {
        use session::Error as E;
        let kind = match &error {
            E::Unknown | E::Ended => Kind::InvalidToken,
            E::Reuse(_) => Kind::InvalidGrant,
            E::Address => Kind::WrongAddress,
            E::Wider(_) => Kind::InvalidScope,
            E::TooMany => Kind::TooManySessions,
            E::Sealed => Kind::Sealed,
            E::Away(_) => Kind::Unavailable,
        };
        Self::new(kind).caused_by(error)
    }
}

impl From<mount::Error> for ApiError {
    fn from(error: mount::Error) -> Self {
        match error {
            mount::Error::Disabled => Self::new(Kind::MountDisabled),
            mount::Error::Compiling(_) | mount::Error::Passing(_) => Self::new(Kind::Unavailable).caused_by(error),
            mount::Error::Broken(_) => Self::new(Kind::PluginFailed).caused_by(error),
            mount::Error::Fault(fault) => fault.into(),
            mount::Error::Store(error) => error.into(),
        }
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let kind = match fault {
            Fault::Refused(refusal) => return refused(refusal),
            Fault::Store(error) => return error.into(),
            Fault::Trap(_) | Fault::Limit(_) | Fault::Deadline | Fault::Invalid(_) => Kind::PluginFailed,
            Fault::Resting(wait) => return Self::new(Kind::Unavailable).retry_after(wait).caused_by(fault),
            Fault::Busy => Kind::Unavailable,
        };
        Self::new(kind).caused_by(fault)
    }
}

/// A plugin's own refusal: code and words reach the client where the host answers a 4xx.
fn refused(refusal: GuestError) -> ApiError {
    let kind = match refusal.code.as_str() {
        "invalid" => Kind::InvalidValue,
        "exists" => Kind::AlreadyExists,
        "denied" => Kind::Forbidden,
        "not-found" => Kind::NotFound,
        "conflict" => Kind::VersionConflict,
        "unsupported" => Kind::MethodNotAllowed,
        "too-large" => Kind::BodyTooLarge,
        "rate-limited" => Kind::TooManyRequests,
        "unavailable" => Kind::Unavailable,
        _ => Kind::PluginFailed,
    };
    let cause = Fault::Refused(refusal.clone());
    let error = match kind {
        Kind::InvalidValue if !refusal.problems.is_empty() => body(refusal.problems),
        _ if kind.status() < 500 && !refusal.message.is_empty() => {
            let msg = refusal.message.into();
            ApiError::details(kind, vec![Detail { loc: Vec::new(), msg, r#type: kind.code().into() }])
        }
        _ => ApiError::new(kind),
    };
    let error = error.caused_by(cause);
    match refusal.retry_after {
        Some(wait) if matches!(kind.status(), 429 | 503) => error.retry_after(wait),
        _ => error,
    }
}

impl From<policy::Refusal> for ApiError {
    fn from(refusal: policy::Refusal) -> Self {
        Self::new(Kind::Forbidden).caused_by(refusal)
    }
}

impl From<policy::Error> for ApiError {
    fn from(error: policy::Error) -> Self {
        use policy::Error as E;
        match error {
            E::Problems(problems) => Self::details(Kind::InvalidPolicy, problems.iter().map(in_text).collect()),
            E::BuiltIn => Self::new(Kind::BuiltIn),
            E::NotFound => Self::at(Kind::Unknown, ["path", "name"]),
            E::Conflict => Self::new(Kind::VersionConflict),
            E::TooMany => Self::at(Kind::TooMany, ["body", "text"]),
            E::LockedOut => {
                let none: [&'static str; 0] = [];
                let msg = "would leave you, or admins, unable to change the policies back; force it if that is meant";
                Self::because(Kind::LockedOut, none, msg)
            }
            E::Busy => Self::new(Kind::Unavailable).caused_by(error),
            E::Store(error) => error.into(),
        }
    }
}

/// Where in the text, by line and column from 1: for people in words, for programs in `loc`.
fn in_text(problem: &policy::Problem) -> Detail {
    let policy::Problem { document, line, column, what } = problem;
    let mut loc: Vec<Step> = vec!["body".into(), "text".into()];
    let mut msg = (*what).to_owned();
    if !document.is_empty() {
        loc.extend([Step::Index(*line), Step::Index(*column)]);
        msg = format!("line {line}, column {column}: {what}");
    }
    Detail { loc, msg: msg.into(), r#type: Kind::InvalidPolicy.code().into() }
}

impl From<throttle::Error> for ApiError {
    fn from(error: throttle::Error) -> Self {
        use throttle::Error as E;
        match error {
            E::TooMany(wait) => Self::new(Kind::TooManyRequests).retry_after(wait).caused_by(error),
            E::Store(error) => error.into(),
            E::Away(_) => Self::new(Kind::Unavailable).caused_by(error),
        }
    }
}

impl From<login::Error> for ApiError {
    fn from(error: login::Error) -> Self {
        use login::Error as E;
        match error {
            E::Refused(refusal) => {
                let kind = match refusal {
                    login::Refusal::UnknownGrant => Kind::UnsupportedGrantType,
                    login::Refusal::Client(_) => Kind::InvalidClient,
                    login::Refusal::Limited => Kind::LimitedSession,
                    login::Refusal::Pending => Kind::AuthorizationPending,
                    login::Refusal::SlowDown => Kind::SlowDown,
                    login::Refusal::Expired => Kind::ExpiredToken,
                    login::Refusal::NoCall => Kind::NotFound,
                    login::Refusal::OnlyBy(method) => return Self::only(method),
                };
                Self::new(kind).caused_by(E::Refused(refusal))
            }
            E::Denied(_) => Self::new(Kind::InvalidGrant).caused_by(error),
            E::Invalid(problems) => body(problems),
            E::Throttle(error) => error.into(),
            E::Session(error) => error.into(),
            E::Mount(error) => error.into(),
            E::Store(error) => error.into(),
        }
    }
}

impl From<directory::Error> for ApiError {
    fn from(error: directory::Error) -> Self {
        use directory::Error as E;
        let kind = match error {
            E::Exists | E::Retired => Kind::AlreadyExists,
            E::Reserved | E::TooMany(_) => Kind::InvalidValue,
            E::UnknownUser => Kind::Unknown,
            E::UnknownRole => Kind::UnknownRole,
            E::LastAdmin => Kind::LastAdmin,
            E::Store(error) => return error.into(),
        };
        Self::new(kind).caused_by(error)
    }
}

impl From<users::Error> for ApiError {
    fn from(error: users::Error) -> Self {
        use users::Error as E;
        match error {
            E::Invalid(problems) => body(problems),
            E::Forbidden(_) => Self::new(Kind::Forbidden).caused_by(error),
            E::NotFound(what) => Self::at(Kind::Unknown, ["body", what]),
            E::Refused(why) => why.into(),
            E::Throttle(error) => error.into(),
            E::Mount(error) => error.into(),
            E::Session(error) => error.into(),
            E::Store(error) => error.into(),
        }
    }
}

impl From<users::Refusal> for ApiError {
    fn from(refusal: users::Refusal) -> Self {
        use users::Refusal as R;
        let none: [&'static str; 0] = [];
        match refusal {
            R::LastAdmin => Self::new(Kind::LastAdmin),
            R::BuiltIn => Self::new(Kind::BuiltIn),
            R::InUse(by) => Self::because(Kind::InUse, none, by),
            R::TooMany(_) => Self::new(Kind::TooMany).caused_by(refusal),
            R::Busy => Self::new(Kind::Unavailable).caused_by(refusal),
        }
    }
}

impl From<secrets::Error> for ApiError {
    fn from(error: secrets::Error) -> Self {
        use secrets::Error as E;
        match error {
            E::NoMount => Self::new(Kind::NotFound).caused_by(error),
            E::UnknownVerb => Self::new(Kind::UnknownVerb),
            E::Method(method) => Self::only(method.as_str()),
            E::Cursor => Self::at(Kind::InvalidValue, ["query", "cursor"]),
            E::Contract(_) => Self::new(Kind::PluginFailed).caused_by(error),
            E::Refused(refusal) => refused(refusal),
            E::Lease(error) => error.into(),
            E::Mount(error) => error.into(),
            E::Store(error) => error.into(),
        }
    }
}

fn held(most: usize) -> ApiError {
    let msg = format!("at most {most} leases of one mount may be held: revoke some first").into();
    let r#type = Kind::TooManyLeases.code().into();
    ApiError::details(Kind::TooManyLeases, vec![Detail { loc: Vec::new(), msg, r#type }])
}

impl From<lease::Error> for ApiError {
    fn from(error: lease::Error) -> Self {
        use lease::Error as E;
        let place = ["path", "lease_id"];
        match error {
            E::NotFound => Self::new(Kind::NotFound),
            E::Unfit(why) => Self::because(Kind::InvalidValue, place, why),
            E::Forbidden(refusal) => Self::new(Kind::Forbidden).caused_by(refusal),
            E::Busy => Self::new(Kind::Unavailable).caused_by(error),
            // No time of ours helps against it: something has to be given back.
            E::TooMany(most) => held(most),
            E::Mount(error) => error.into(),
            E::Session(error) => error.into(),
            E::Store(error) => error.into(),
        }
    }
}

impl From<settings::Error> for ApiError {
    fn from(error: settings::Error) -> Self {
        use settings::Error as E;
        match error {
            E::NotFound => Self::new(Kind::NotFound),
            E::Invalid(problems) => body(problems),
            E::Conflict => Self::new(Kind::VersionConflict),
            E::Unknown => Self::at(Kind::UnknownSetting, ["body", "key"]),
            E::LockedOut => Self::new(Kind::LockedOut),
            E::Forbidden => Self::new(Kind::Forbidden).caused_by(error),
            E::Mount(error) => error.into(),
            E::Store(error) => error.into(),
        }
    }
}

impl From<plugins::Error> for ApiError {
    fn from(error: plugins::Error) -> Self {
        use plugins::Error as E;
        match error {
            E::NotFound => Self::new(Kind::NotFound),
            E::Exists => Self::at(Kind::AlreadyExists, ["path", "version"]),
            E::Shipped => Self::at(Kind::ReservedName, ["path", "name"]),
            E::InUse => Self::at(Kind::PluginInUse, ["path", "version"]),
            // Their places begin with the part of the request.
            E::Refused(problems) => Self::details(Kind::InvalidValue, problems.into_iter().map(detail).collect()),
            E::Catalog(error) => of_file(error),
            E::Mount(mount::Error::Broken(_)) => {
                Self::because(Kind::BadPlugin, ["body"], "does not compile").caused_by(error)
            }
            E::Mount(error) => error.into(),
            E::Store(error) => error.into(),
        }
    }
}

fn detail(problem: Problem) -> Detail {
    let loc = problem.at.split('/').skip(1).map(|step| Step::from(step.to_owned())).collect();
    Detail { loc, msg: problem.message, r#type: problem.code }
}

/// What is wrong with a file that somebody sent: in the catalog's own words.
fn of_file(error: catalog::Error) -> ApiError {
    use catalog::Error as E;
    match error {
        E::Invalid(problems) => body(problems.into_iter().map(|problem| problem.below("/manifest")).collect()),
        E::Store(error) => error.into(),
        E::UnknownPlugin | E::UnknownVersion => ApiError::new(Kind::NotFound),
        E::Component(_) | E::Import(..) | E::Manifest(_) | E::OtherName(_) => {
            let detail = Detail {
                loc: vec!["body".into()],
                msg: error.to_string().into(),
                r#type: Kind::BadPlugin.code().into(),
            };
            ApiError::details(Kind::BadPlugin, vec![detail])
        }
    }
}

impl From<operate::Error> for ApiError {
    fn from(error: operate::Error) -> Self {
        use operate::Error as E;
        match error {
            E::Code => Self::at(Kind::InvalidValue, ["body", "code"]),
            E::Shares(why) => Self::because(Kind::InvalidValue, ["body", "shares"], why),
            E::Initialised => Self::new(Kind::AlreadyInitialised),
            E::Shipped(_) | E::Key(_) | E::Ended => Self::internal(error),
            E::Audit(_) => Self::new(Kind::Unavailable).caused_by(error),
            E::Session(error) => error.into(),
            E::Directory(error) => error.into(),
            E::Store(error) => error.into(),
        }
    }
}
