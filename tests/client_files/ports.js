"use strict";

// As the client: both objects, the last one wins, and what changes by itself is fetched.
const flags = Object.assign({}, cloud_configs, config);
const get = (url, options) => fetch(url, options).then((answer) => answer.json());

Promise.all([
  get(`version.json?t=${Date.now()}`, { headers: { "Cache-Control": "no-store" } }),
  get("banners.json"),
]).then(([version, banners]) => Elm.StandIn.init({ flags, version, banners }));
