//! Calls that a model was talked into: tools that are not offered, and arguments that their schema
//! does not allow.

use serde_json::{Value, json};

use super::{Attack, Bare, Boundary, Era, Gateway, Server, Side, Stage, Who};
use super::{barrier, brief, handed, refused};
use crate::demo::client::result_text;
use crate::demo::honest::{CREDENTIALS, DIARY, OTHERS_NOTE, SECRET};

/// What the attack is after.
#[derive(Clone, Copy)]
enum Goal {
    /// The answer holds this text.
    Reads(&'static str),
    /// A note is kept with an argument that is of no declared type.
    Keeps,
    /// Every note is gone.
    Erases,
}

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    tool: &'static str,
    arguments: &'static str,
    goal: Goal,
}

const CASES: [Case; 8] = [
    Case {
        name: "an undeclared argument (`admin: true`)",
        tool: "read_file",
        arguments: r#"{"path":"private/launch.txt","admin":true}"#,
        goal: Goal::Reads(SECRET),
    },
    Case {
        name: "an undeclared argument (`as_user`)",
        tool: "list_notes",
        arguments: r#"{"as_user":"bob"}"#,
        goal: Goal::Reads(OTHERS_NOTE),
    },
    Case {
        name: "a path that leads out of its folder",
        tool: "read_file",
        arguments: r#"{"path":"../diary.txt"}"#,
        goal: Goal::Reads(DIARY),
    },
    Case {
        name: "a query in place of a number",
        tool: "read_note",
        arguments: r#"{"id":{"$ne":null}}"#,
        goal: Goal::Reads(OTHERS_NOTE),
    },
    Case {
        name: "an object in place of a text",
        tool: "add_note",
        arguments: r#"{"text":{"$include":"@MARK"}}"#,
        goal: Goal::Keeps,
    },
    Case {
        name: "a required argument left out",
        tool: "delete_note",
        arguments: "{}",
        goal: Goal::Erases,
    },
    Case {
        name: "a page within the cloud's own network",
        tool: "fetch_page",
        arguments: r#"{"url":"http://169.254.169.254/latest/meta-data/iam/security-credentials/demo"}"#,
        goal: Goal::Reads(CREDENTIALS),
    },
    Case {
        name: "a tool that is on no list",
        tool: "debug_dump",
        arguments: "{}",
        goal: Goal::Reads(SECRET),
    },
];

pub(super) fn all() -> Vec<Attack> {
    let attack = |case: Case| {
        Attack::new(
            case.name,
            Boundary::Tool,
            move |stage| Box::pin(bare(stage, case)),
            move |stage| Box::pin(gateway(stage, case)),
        )
    };
    CASES.map(attack).into()
}

impl Case {
    fn arguments(self, mark: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self.arguments.replace("@MARK", mark),
        )?)
    }

    fn achieved(self, stage: &Stage, side: Side, mark: &str, answer: &str) -> bool {
        match self.goal {
            Goal::Reads(text) => answer.contains(text),
            Goal::Keeps => stage.noted(side, mark),
            Goal::Erases => !stage.noted(side, mark),
        }
    }
}

async fn bare(stage: &Stage, case: Case) -> anyhow::Result<Bare> {
    let mark = stage.mark();
    let mut server = stage.bare(Server::Honest).await?;
    // Where erasing is the goal there has to be something to erase.
    if matches!(case.goal, Goal::Erases) {
        server
            .call("add_note", &json!({"text": mark}))
            .await?
            .message()?;
    }
    let answer = server
        .call(case.tool, &case.arguments(&mark)?)
        .await?
        .message()?;
    let text = result_text(&answer);
    let done = case.achieved(stage, Side::Bare, &mark, &answer.to_string());
    Ok(Bare::seen(done, format!("executed: \"{}\"", brief(&text))))
}

async fn gateway(stage: &Stage, case: Case) -> anyhow::Result<Gateway> {
    let mut worst: Option<Gateway> = None;
    for era in [Era::Modern, Era::Legacy] {
        let mark = stage.mark();
        let alice = stage.endpoint(Who::Alice, Server::Honest)?;
        if matches!(case.goal, Goal::Erases) {
            alice
                .call("add_note", &json!({"text": mark}))
                .await?
                .text()?;
        }
        let before = handed(stage, case.tool);
        let arguments = case.arguments(&mark)?;
        let reply = match era {
            Era::Modern => alice.call(case.tool, &arguments).await?,
            Era::Legacy => {
                alice
                    .call_in(stage.session().await?, case.tool, &arguments)
                    .await?
            }
        };
        // The barrier itself calls `list_notes`, so it is counted out where that is the tool.
        barrier(stage, Who::Alice, era).await?;
        let own = usize::from(case.tool == "list_notes");
        let arrived = handed(stage, case.tool).saturating_sub(before + own) > 0;
        let body = String::from_utf8_lossy(&reply.body);
        let done = case.achieved(stage, Side::Gateway, &mark, &body);
        let seen = refused(stage, &reply, done || arrived);
        worst = Some(match worst {
            Some(worst) => worst.worst(seen),
            None => seen,
        });
    }
    worst.ok_or_else(|| anyhow::anyhow!("no era was tried"))
}
