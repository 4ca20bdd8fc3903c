"use strict";

// What a deployment sets for itself.
/** @type {StandIn.Configuration} */
var config = {
  cloudCorsProxyUrl: "https://proxy.example.com/proxy",
  appTitle: null,
  topBarShowAppTitle: true,
  version: null,
};
