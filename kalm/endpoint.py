"""One POST of JSON to a web endpoint, tried again where that can help; errors say what to do.

One thing to know: a key comes from an environment variable only. It is neither written into an
error nor sent on to where the endpoint redirects.
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from kalm.chat_template import ChatError

_PASSING = (408, 409, 425, 429, 500, 502, 503, 504)  # statuses that may be gone a moment later


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: they would carry the key to another place."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to follow."""
        return


class Endpoint:
    """A web address that answers JSON with JSON."""

    def __init__(
        self,
        url: str,
        *,
        key_variable: str | None,
        timeout_seconds: float,
        tries: int,
        wait_seconds: float,
    ) -> None:
        """Args:
        key_variable: name of the environment variable that holds the key, if one is needed.
        tries: times that a request is sent before it is given up.
        wait_seconds: pause before the second try; doubled before each further one.

        Raises:
            ChatError: not a web address, or the environment variable is not set.
        """
        if not url.startswith(("http://", "https://")):
            raise ChatError(
                f"Expected an endpoint that begins with http:// or https://, got `{url}`. Give its "
                f"base address, such as http://localhost:8000/v1."
            )
        if key_variable is not None and not os.environ.get(key_variable, "").strip():
            raise ChatError(
                f"The environment variable {key_variable} holds no key for {url}. Set it, or leave "
                f"its name out where the endpoint needs none."
            )
        self.url, self.key_variable = url, key_variable
        self.timeout_seconds, self.tries, self.wait_seconds = timeout_seconds, tries, wait_seconds
        self._opener = urllib.request.build_opener(_NoRedirect)

    def post(self, content: Mapping[str, Any]) -> Any:
        """What the endpoint answers.

        Raises:
            ChatError: unreachable, refused, or no JSON.
        """
        for attempt in range(1, self.tries + 1):
            last = attempt == self.tries
            try:
                return self._post_once(content)
            except urllib.error.HTTPError as error:
                if last or error.code not in _PASSING:
                    raise ChatError(self._hide_key(self._refusal(error))) from None
            except (OSError, http.client.HTTPException) as error:
                if last:
                    reason = getattr(error, "reason", error)
                    raise ChatError(
                        f"Could not reach {self.url}: {self._hide_key(str(reason))} (tried "
                        f"{self.tries} times). Start the server, or correct the address."
                    ) from None
            time.sleep(self.wait_seconds * 2 ** (attempt - 1))
        raise AssertionError("the last try returns or raises")

    def _post_once(self, content: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.key_variable is not None:
            headers["Authorization"] = f"Bearer {self._key()}"
        request = urllib.request.Request(self.url, json.dumps(content).encode(), headers)
        with self._opener.open(request, timeout=self.timeout_seconds) as response:
            body = response.read()
        try:
            return json.loads(body)
        except ValueError:
            raise ChatError(
                f"{self.url} answered no JSON but `{self._shown(body)}`. Give the base address of "
                f"an OpenAI-compatible endpoint, which usually ends in /v1."
            ) from None

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        step = "Look at the server's log."
        if error.code in (301, 302, 303, 307, 308):
            step = f"Give the address that it points to: {error.headers.get('Location')}."
        elif error.code in (401, 403):
            step = "Name the environment variable that holds a valid key."
        elif error.code in (404, 405):
            step = "Correct the model's name or the base address, which usually ends in /v1."
        said = self._shown(error.read())
        return f"{self.url} refused the request with status {error.code}: `{said}`. {step}"

    def _shown(self, body: bytes) -> str:
        return self._hide_key(" ".join(body.decode(errors="replace").split())[:200])

    def _key(self) -> str:
        return os.environ.get(self.key_variable or "", "").strip()

    def _hide_key(self, text: str) -> str:
        return text.replace(self._key(), "***") if self.key_variable and self._key() else text
