// As the client's: it caches nothing, and lets the browser offer to install the page.
self.addEventListener("fetch", (event) => {
  event.respondWith(fetch(event.request));
});
