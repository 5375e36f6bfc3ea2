//! What Slack's error codes mean: what a refusal is about, and what whoever set it up can do.

use crate::notify::Refusal;

/// What a code refuses: the channel, the message, or all.
pub(super) fn about(code: &str) -> Refusal {
    match code {
        "not_in_channel" | "channel_not_found" | "is_archived" | "channel_is_archived" => {
            Refusal::Place
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_attachments"
        | "invalid_payload"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "too_many_attachments"
        | "message_not_found"
        | "thread_not_found"
        | "cannot_reply_to_message"
        | "restricted_action_thread_locked" => Refusal::Message,
        _ => Refusal::Other,
    }
}

/// What to do about a code of `chat.postMessage`, `chat.update` or an incoming webhook.
pub(super) fn hint(code: &str) -> &'static str {
    match code {
        "not_in_channel" => {
            "Invite the bot to the channel (/invite @its-name), or give it the scope chat:write.public"
        }
        "channel_not_found" => {
            "Check slack.channels: the name may be wrong, or the channel private and the bot not invited to it"
        }
        "is_archived" | "channel_is_archived" => {
            "The channel is archived: restore it, or name another"
        }
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            "Check slack.token: install the app again and take the Bot User OAuth Token (xoxb-…)"
        }
        "not_allowed_token_type" => "slack.token must be a bot's (xoxb-…)",
        "missing_scope" | "no_permission" => {
            "Give the app the scope chat:write (and chat:write.public) and install it again"
        }
        "no_service" | "no_team" | "invalid_token" => {
            "The incoming webhook is gone: make a new one and set slack.webhook_url"
        }
        "action_prohibited"
        | "restricted_action"
        | "ekm_access_denied"
        | "team_access_not_granted" => "A rule of the workspace forbids it: ask its administrator",
        "message_not_found" | "cant_update_message" | "edit_window_closed" => {
            "The message cannot be edited any more; its incident is still followed"
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "invalid_payload"
        | "invalid_attachments" => {
            "Slack does not take our layout: please report it with the file in logs/incidents"
        }
        _ => "Look it up among the errors of the method at https://api.slack.com/methods",
    }
}
