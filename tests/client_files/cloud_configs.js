"use strict";

/** @type {StandIn.CloudConfigs} */
var cloud_configs = {
  clouds: [
    {
      keystoneHostname: "keystone.example.com",
      friendlyName: "Somebody's cloud",
      userAppProxy: [
        {
          region: null,
          hostname: "uap.example.com",
        },
      ],
      imageExcludeFilter: null,
      instanceTypes: [],
    },
  ],
};
