//! The fixed part of every request: the system prompt and the tools on offer.
//!
//! Invariants: it is the same for the life of the process, and small (a test holds it under its
//! budget).

use dialects::ToolSpec;

use crate::limits::BYTES_PER_TOKEN;
use crate::workspace::Workspace;

/// The fragments of the system prompt, in the order in which the model reads them.
const SYSTEM: [&str; 3] = [
    include_str!("../../prompts/system/identity.md"),
    include_str!("../../prompts/system/work.md"),
    include_str!("../../prompts/system/answer.md"),
];

/// Stands in a fragment for the workspace's folder.
const WORKSPACE_MARK: &str = "{workspace}";

/// The fixed part of every request.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The system prompt.
    pub system: String,
    /// The tools on offer.
    pub tools: Vec<ToolSpec>,
}

impl Prompt {
    /// The prompt for an agent that works in `workspace` with `tools`.
    pub fn new(workspace: &Workspace, tools: Vec<ToolSpec>) -> Self {
        let folder = workspace.root().display().to_string();
        let system = SYSTEM.map(str::trim).join("\n\n").replace(WORKSPACE_MARK, &folder);
        Self { system, tools }
    }

    /// About how many tokens it has.
    pub fn tokens(&self) -> usize {
        let tools: usize = self
            .tools
            .iter()
            .map(|tool| {
                tool.name.len() + tool.description.len() + tool.input_schema.to_string().len()
            })
            .sum();
        (self.system.len() + tools).div_ceil(BYTES_PER_TOKEN)
    }
}
