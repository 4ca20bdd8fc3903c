// The end of elm-web.js: what the rest of the file, which only has its size, does not do.
var Elm = {
  StandIn: {
    init({ flags, version, banners }) {
      const title = flags.appTitle || "Stand-in";
      const rows = {
        path: location.pathname,
        cloudCorsProxyUrl: String(flags.cloudCorsProxyUrl),
        clouds: flags.clouds.map((cloud) => cloud.friendlyName).join(", "),
        version: version.version,
        banners: String(banners.length),
      };
      const logo = Object.assign(document.createElement("img"), {
        src: "assets/img/logo-alt.svg",
        alt: "",
      });
      const header = document.createElement("header");
      const heading = Object.assign(document.createElement("h1"), { textContent: title });
      header.append(logo, heading);
      const list = document.createElement("dl");
      for (const [term, value] of Object.entries(rows)) {
        const dt = Object.assign(document.createElement("dt"), { textContent: term });
        const dd = Object.assign(document.createElement("dd"), { id: term, textContent: value });
        list.append(dt, dd);
      }
      document.title = title;
      document.getElementById("container").append(header, list);
    },
  },
};
