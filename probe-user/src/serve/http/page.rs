//! The page for browsers: one text, put together once from the files of serve/page, that needs nothing from anywhere else.
//!
//! Its policy for contents names the one script and the one style by their hashes: whatever else would run or be drawn, the
//! browser refuses. The text has nothing of this host in it; data come by the routes of [`super::live`] and
//! [`super::answers`], which ask for the token where there is one.

use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

const SHELL: &str = include_str!("../page/index.html");
const STYLE: &str =
    concat!(include_str!("../page/look.css"), include_str!("../page/tables.css"), include_str!("../page/views.css"),);
/// In the order in which they build on one another.
const SCRIPT: &str = concat!(
    "(() => {\n\"use strict\";\n",
    include_str!("../page/text.js"),
    include_str!("../page/dom.js"),
    include_str!("../page/link.js"),
    include_str!("../page/world.js"),
    include_str!("../page/rows.js"),
    include_str!("../page/chart.js"),
    include_str!("../page/groups.js"),
    include_str!("../page/group.js"),
    include_str!("../page/members.js"),
    include_str!("../page/alarms.js"),
    include_str!("../page/jobs.js"),
    include_str!("../page/site.js"),
    include_str!("../page/probe.js"),
    include_str!("../page/main.js"),
    "})();\n",
);

/// Where they go in the shell.
const STYLE_MARK: &str = "/*STYLE*/";
const SCRIPT_MARK: &str = "/*SCRIPT*/";

static TEXT: LazyLock<String> = LazyLock::new(|| SHELL.replacen(STYLE_MARK, STYLE, 1).replacen(SCRIPT_MARK, SCRIPT, 1));
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

pub(super) async fn page() -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY.as_str())];
    (headers, TEXT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_as_browsers_make_it() {
        // printf abc | openssl dgst -sha256 -binary | base64
        assert_eq!(hash("abc"), "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn the_page_is_whole_and_needs_nobody_else() {
        let text = TEXT.as_str();
        assert!(
            text.contains(&format!("<style>{STYLE}</style>")) && text.contains(&format!("<script>{SCRIPT}</script>"))
        );
        for from_elsewhere in [
            "src=",
            "http://",
            "https://",
            "@import",
            "url(",
            "onclick",
            "onload",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "style=",
        ] {
            // A namespace is a name and no address.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(from_elsewhere), "{from_elsewhere}");
        }
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
        assert!(text.starts_with("<!doctype html>\n<html lang=\"en\">"));
    }
}
