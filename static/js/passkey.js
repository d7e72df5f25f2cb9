// Says in words why a passkey did not work; allauth's own scripts only write to the console.
const WORDS = {
  NotAllowedError: "It was cancelled or took too long. Try again.",
  InvalidStateError: "This device or key is registered already.",
  SecurityError: "Passkeys need https, or localhost, and the address that they were made for.",
};

document.addEventListener("allauth.error", (event) => {
  const notice = document.querySelector("[data-passkey-problem]");
  if (!notice) return;
  const supported = "PublicKeyCredential" in window;
  notice.querySelector("[data-passkey-words]").textContent = supported
    ? (WORDS[event.detail.exception?.name] ?? "The passkey could not be used. Try again, or sign in another way.")
    : "This browser has no passkeys here. Use https and an up-to-date browser, or sign in another way.";
  notice.hidden = false;
  event.preventDefault();
});
