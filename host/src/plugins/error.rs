use crate::{barrier, catalog, mount, problem::Problem};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such plugin")]
    NotFound,
    /// The name and version stand for something already, or once did.
    #[error("the plugin exists")]
    Exists,
    /// The name belongs to a plugin that comes with the server, which cannot be changed or deleted.
    #[error("the plugin is shipped")]
    Shipped,
    #[error("a mount uses the plugin")]
    InUse,
    /// What is wrong with it, with places in the request.
    #[error("the plugin is refused")]
    Refused(Vec<Problem>),
    /// It is no plugin that could be used.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// It does not compile.
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}
