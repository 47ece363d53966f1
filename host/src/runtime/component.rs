//! What a component must be before anything of it is linked.

use wasmtime::{Engine, component::Component};

use super::{Error, Exports, imports};

/// An import that is not offered is refused by its name, before anything is linked.
pub(super) fn check_imports(engine: &Engine, component: &Component) -> Result<(), Error> {
    for (name, _) in component.component_type().imports(engine) {
        if !imports::is_offered(name) {
            return Err(Error::ForbiddenImport(super::fault::shortened(name)));
        }
    }
    Ok(())
}

pub(super) fn find_exports(engine: &Engine, component: &Component) -> Result<Exports, Error> {
    let of_component = component.component_type();
    let names: Vec<&str> = of_component.exports(engine).map(|(name, _)| name).collect();
    let exports = |interface: &str| {
        let versions = |name: &&&str| name.strip_prefix(interface).is_some_and(|rest| rest.starts_with("@1."));
        names.iter().find(versions).is_some()
    };
    if !exports("coffer:plugin/plugin") {
        return Err(Error::MissingExport("plugin"));
    }
    let found = Exports::named(exports);
    match found.engine || found.auth {
        true => Ok(found),
        false => Err(Error::MissingExport("engine or auth")),
    }
}
