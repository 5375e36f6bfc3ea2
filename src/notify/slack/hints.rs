//! What Slack's error codes mean: what a refusal is about, and what the person who set it up can do.

use crate::notify::Refusal;

/// What a code refuses; `None` for an unknown code, which does not pass by itself.
pub(super) fn about(code: &str) -> Option<Refusal> {
    Some(match code {
        "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_attachments"
        | "invalid_payload"
        | "invalid_json"
        | "invalid_arguments"
        | "invalid_arg_name"
        | "invalid_array_arg"
        | "invalid_form_data"
        | "invalid_charset"
        | "json_not_object"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "too_many_attachments"
        | "attachment_payload_limit_exceeded"
        | "too_many_contents" => Refusal::Message,
        "message_not_found"
        | "thread_not_found"
        | "cannot_reply_to_message"
        | "restricted_action_thread_locked"
        | "cant_update_message"
        | "edit_window_closed" => Refusal::Thread,
        "not_in_channel"
        | "channel_not_found"
        | "is_archived"
        | "channel_is_archived"
        | "action_prohibited"
        | "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_non_threadable_channel"
        | "posting_to_general_channel_denied"
        | "message_limit_exceeded"
        | "messages_tab_disabled"
        | "user_not_found"
        | "ekm_access_denied"
        | "team_access_not_granted"
        | "no_permission" => Refusal::Place,
        "invalid_auth"
        | "not_authed"
        | "token_revoked"
        | "token_expired"
        | "account_inactive"
        | "not_allowed_token_type"
        | "missing_scope"
        | "org_login_required"
        | "two_factor_setup_required"
        | "access_denied"
        | "accesslimited"
        | "enterprise_is_restricted"
        | "no_service"
        | "no_service_id"
        | "no_active_hooks"
        | "no_team"
        | "team_disabled"
        | "invalid_token" => Refusal::Sender,
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "rollup_error"
        | "team_added_to_org"
        | "ratelimited"
        | "rate_limited" => Refusal::Other,
        // Slack names new limits of its layout this way: invalid_blocks_…, too_many_blocks.
        code if ["_blocks", "block_", "attachment"].iter().any(|part| code.contains(part)) => {
            Refusal::Message
        }
        _ => return None,
    })
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
        "message_not_found" | "thread_not_found" | "cant_update_message" | "edit_window_closed" => {
            "The message was deleted or can no longer be edited; a new message continues it"
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "invalid_payload"
        | "invalid_attachments" => {
            "Slack does not accept the layout of mape-k: please report it with the file in logs/incidents"
        }
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
            "Slack has an outage of its own (https://slack-status.com); the message is sent again"
        }
        _ => "Look it up among the errors of the method at https://api.slack.com/methods",
    }
}
