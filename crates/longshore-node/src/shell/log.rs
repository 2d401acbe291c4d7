//! What the core tells an operator, as lines of the log: at which level each.

use longshore_engine::note::Note;
use tracing::{info, warn};

use crate::core::LogLine;

/// Writes a line of the log under the agent's name.
pub(super) fn write(agent: &str, line: &LogLine) {
    match line {
        LogLine::Registered { .. }
        | LogLine::ServerSays(_)
        | LogLine::Connected { .. }
        | LogLine::Housekeeping(
            Note::DiskRelieved { .. }
            | Note::CleanedEarly { .. }
            | Note::ImageRemoved { .. }
            | Note::PortMoved { .. },
        ) => info!(%agent, "{line}"),
        LogLine::Housekeeping(
            Note::DiskShort { .. } | Note::NothingToClean { .. } | Note::NoSpace | Note::ImageKept { .. },
        )
        | LogLine::AwslogsKept { .. }
        | LogLine::Declined(_)
        | LogLine::CallFailed { .. }
        | LogLine::Dismissed { .. }
        | LogLine::JoinsAnew { .. }
        | LogLine::Lost { .. }
        | LogLine::ReportRefused { .. }
        | LogLine::Refused { .. }
        | LogLine::Malformed(_)
        | LogLine::Unloadable { .. }
        | LogLine::StopVerified(_)
        | LogLine::AttachmentIgnored(_) => warn!(%agent, "{line}"),
    }
}
