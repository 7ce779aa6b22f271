//! Cloudflare AI Gateway, and the account's own API for models.
//!
//! Sources: <https://developers.cloudflare.com/ai-gateway/usage/providers/>,
//! <https://developers.cloudflare.com/ai-gateway/configuration/authentication/>,
//! <https://developers.cloudflare.com/ai-gateway/features/unified-billing/>.

use super::Secret;
use super::reader::Reader;

const GATEWAY_URL: &str = "https://gateway.ai.cloudflare.com/v1";
const ACCOUNT_API_URL: &str = "https://api.cloudflare.com/client/v4";

const ACCOUNT: &str = "CF_AI_GATEWAY_ACCOUNT_ID";
const GATEWAY: &str = "CF_AI_GATEWAY_GATEWAY_ID";
const TOKEN: &str = "CF_AI_GATEWAY_TOKEN";
const STORED: &str = "CF_AI_GATEWAY_STORED_KEYS";
const CACHE: &str = "CF_AI_GATEWAY_CACHE_TTL";

/// The key of the provider that is named by the gateway's model.
pub(super) const PROVIDER_KEY: &str = "CLOUDFLARE_AI_GATEWAY_API_KEY";

/// Longest that the gateway keeps an answer, in seconds: a month.
const CACHE_SECONDS: std::ops::RangeInclusive<u32> = 60..=2_592_000;

/// A gateway that model calls pass through.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Its name in the account.
    pub(crate) id: String,
    /// What providers' own paths are appended to, behind the provider's name there.
    pub(super) base_url: String,
    /// What an authenticated gateway asks for.
    pub(crate) token: Option<Secret>,
    /// How long it keeps an answer for the same request, in seconds.
    pub(crate) cache_seconds: Option<u32>,
    /// Providers whose keys the gateway adds, by their names here: stored keys or unified billing.
    pub(super) stored_keys: Vec<String>,
}

/// What the owner has at Cloudflare.
#[derive(Debug)]
pub(super) struct Cloudflare {
    /// What paths of the account's own model API are appended to, if the account is named.
    pub(super) account_api: Option<String>,
    /// The gateway, if account and gateway are named.
    pub(super) gateway: Option<Gateway>,
}

impl Cloudflare {
    /// Reads it; half a gateway is a problem.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        // moltworker has a name of its own for the account where it means storage.
        let account = reader.optional(ACCOUNT, identifier);
        let account = account.or_else(|| reader.optional("CF_ACCOUNT_ID", identifier));
        let api = reader.base_url("CLOUDFLARE_API_URL").unwrap_or_else(|| ACCOUNT_API_URL.into());
        let account_api = account.as_ref().map(|account| format!("{api}/accounts/{account}/ai/v1"));
        let gateway = Gateway::read(reader, account.as_deref());
        Self { account_api, gateway }
    }
}

impl Gateway {
    fn read(reader: &mut Reader<'_>, account: Option<&str>) -> Option<Self> {
        let id = reader.optional(GATEWAY, identifier);
        let token = reader.key(TOKEN);
        let stored_keys = stored_keys(reader, token.is_some());
        let cache_seconds = reader.optional(CACHE, |text| match text.parse() {
            Ok(seconds) if CACHE_SECONDS.contains(&seconds) => Ok(seconds),
            _ => Err(format!("{text:?} is no number of seconds from 60 to a month")),
        });
        if let (Some(account), Some(id)) = (account, &id) {
            let url = reader.base_url("CF_AI_GATEWAY_URL").unwrap_or_else(|| GATEWAY_URL.into());
            let (id, base_url) = (id.clone(), format!("{url}/{account}/{id}"));
            return Some(Self { id, base_url, token, cache_seconds, stored_keys });
        }
        let missing = if id.is_some() { ACCOUNT } else { GATEWAY };
        for name in [GATEWAY, TOKEN, STORED, CACHE, PROVIDER_KEY] {
            if reader.text(name).is_some() {
                reader.wrong(name, format!("it is of no use without {missing}"));
            }
        }
        None
    }
}

/// `anthropic,openai`, or nothing.
fn stored_keys(reader: &mut Reader<'_>, has_token: bool) -> Vec<String> {
    let Some(text) = reader.text(STORED) else { return Vec::new() };
    if !has_token {
        reader.wrong(STORED, format!("the gateway adds keys only for a caller that shows {TOKEN}"));
        return Vec::new();
    }
    text.split(',').map(|name| super::providers::canonical(name.trim()).to_owned()).collect()
}

/// A name that may stand in a path.
fn identifier(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.len() <= 64 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("it holds more than letters, digits, - and _, or more than 64 of them".into())
}
