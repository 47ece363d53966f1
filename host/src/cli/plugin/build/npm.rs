//! JavaScript: `componentize-qjs`, which puts the QuickJS engine and the loaded source into one component.

use std::fs;

use super::{super::Failure, Project, failed};

pub(super) const SDK: &str = include_str!("../../../../../plugin-sdk/js/coffer.js");

pub(super) fn component(project: &Project<'_>) -> Result<Vec<u8>, Failure> {
    let tool = project.tool("node_modules/.bin", "componentize-qjs").ok_or_else(|| {
        failed("componentize-qjs is not installed: run `npm install` in the folder of the plugin (Node.js 20 or newer)")
    })?;
    let line =
        "--sync --opt-size --stub-wasi --wit build/wit --world coffer --js plugin.js --output build/component.wasm";
    project.run(&tool, &line.split(' ').collect::<Vec<_>>())?;
    Ok(fs::read(project.made("component.wasm"))?)
}
