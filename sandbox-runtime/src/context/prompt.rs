//! The fixed part of every request: the system prompt and the tools on offer.
//!
//! Invariants: it is the same as long as the files that belong to it are, so that providers can
//! cache it, and small (a test holds it under its budget).

use dialects::ToolSpec;

use crate::keeper::PromptFiles;
use crate::limits::BYTES_PER_TOKEN;
use crate::settings::Service;
use crate::workspace::Workspace;

/// The fragments of the system prompt, in the order in which the model reads them.
const SYSTEM: [&str; 3] = [
    include_str!("../../prompts/system/identity.md"),
    include_str!("../../prompts/system/work.md"),
    include_str!("../../prompts/system/answer.md"),
];

/// What stands before the hosts for which the edge adds a secret.
const SERVICES: &str = include_str!("../../prompts/system/services.md");

/// What stands before the files of the workspace that belong to the prompt.
const FILES: &str = include_str!("../../prompts/system/files.md");

/// What stands for those files when they cannot be read.
const FILES_UNREADABLE: &str = include_str!("../../prompts/system/files_unreadable.md");

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
    /// The prompt for an agent that works in `workspace` with `tools`, and may call `services`.
    pub fn new(workspace: &Workspace, tools: Vec<ToolSpec>, services: &[Service]) -> Self {
        let folder = workspace.root().display().to_string();
        let mut system = SYSTEM.map(str::trim).join("\n\n").replace(WORKSPACE_MARK, &folder);
        if !services.is_empty() {
            system.extend(["\n\n", SERVICES.trim(), "\n"]);
        }
        for Service { host, secret } in services {
            system.extend(["\n- `", host, "` (", secret, ")"]);
        }
        Self { system, tools }
    }

    /// The prompt with the files of the workspace that belong to it.
    #[must_use]
    pub fn with(&self, files: &PromptFiles) -> Self {
        let mut system = format!("{}\n\n{}", self.system, FILES.trim());
        if files.unreadable {
            system.push_str("\n\n");
            system.push_str(FILES_UNREADABLE.trim());
        }
        for (name, text) in &files.files {
            system.extend(["\n\n## ", name.as_str(), "\n\n", text.trim()]);
        }
        Self { system, tools: self.tools.clone() }
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
