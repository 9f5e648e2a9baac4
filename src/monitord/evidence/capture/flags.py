"""Chromium's command line: everything off that a picture of one page doesn't need (T5).

The switches: https://peter.sh/experiments/chromium-command-line-switches/, and Chromium's source, which decides.
"""

from pathlib import Path

from monitord.evidence.shot import HEIGHT, WIDTH

_HEAP_MB = 256
"""JavaScript's heap in each process; a page that wants more crashes."""

_FEATURES_OFF = (
    "AutofillServerCommunication",
    "BackForwardCache",
    "CertificateTransparencyComponentUpdater",
    "DialMediaRouteProvider",
    "DownloadBubble",
    "HttpsUpgrades",
    "InterestFeedContentSuggestions",
    "MediaRouter",
    "OptimizationHints",
    "PaintHolding",
    "Prerender2",
    "Translate",
    "UserAgentClientHint",
)

_ALWAYS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--no-service-autorun",
    "--noerrdialogs",
    "--hide-scrollbars",
    "--mute-audio",
    "--password-store=basic",
    "--use-mock-keychain",
    "--block-new-web-contents",
    "--deny-permission-prompts",
    "--disable-3d-apis",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-hang-monitor",
    "--disable-notifications",
    "--disable-plugins",
    "--disable-print-preview",
    "--disable-prompt-on-repost",
    "--disable-quic",
    "--disable-renderer-backgrounding",
    "--disable-search-engine-choice-screen",
    "--disable-speech-api",
    "--disable-sync",
    "--disable-webgl",
    "--metrics-recording-only",
    "--renderer-process-limit=3",
    # No way out but the proxy: not for loopback, not for names, not for WebRTC's UDP.
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)


def command_line(program: Path, folder: Path, proxy_port: int, *, sandbox: bool) -> list[str]:
    """Return the command for one shot: the profile in ``folder``, all traffic through a proxy on the loopback."""
    return [
        str(program),
        *_ALWAYS,
        f"--disable-features={','.join(_FEATURES_OFF)}",
        f"--js-flags=--max-old-space-size={_HEAP_MB}",
        f"--window-size={WIDTH},{HEIGHT}",
        f"--user-data-dir={folder / 'profile'}",
        f"--disk-cache-dir={folder / 'cache'}",
        f"--disk-cache-size={16 * 1024 * 1024}",
        f"--proxy-server=http://127.0.0.1:{proxy_port}",
        *([] if sandbox else ["--no-sandbox"]),
        "about:blank",
    ]
