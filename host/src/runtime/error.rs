/// Why there is no plugin to call. The text is for whoever uploads or operates it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the engine does not start: {0}")]
    Engine(String),
    #[error("the component is larger than a plugin may be")]
    TooLarge,
    #[error("not a component that runs here: {0}")]
    Invalid(String),
    #[error("it imports {0}, which no plugin is given")]
    ForbiddenImport(String),
    #[error("it does not export {0}")]
    MissingExport(&'static str),
}
