//! Which service a handler is handed: `State<Secrets>` and the like.

use axum::extract::FromRef;

use crate::{
    app::App, login::Login, operate::Operate, plugins::Plugins, policy::Policies, secrets::Secrets, settings::Settings,
    telemetry::Telemetry, users::Users,
};

macro_rules! handed {
    ($($service:ident $field:ident),+) => {$(
        impl FromRef<App> for $service {
            fn from_ref(app: &App) -> Self {
                app.$field.clone()
            }
        }
    )+};
}

handed!(
    Login login, Operate operate, Plugins plugins, Policies policies, Secrets secrets, Settings settings, Telemetry telemetry,
    Users users
);
