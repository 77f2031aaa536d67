/* A launcher button with its icon for each app of the page's setting `elabsApps`: [{name, title, icon}], where icon is the text of an SVG.

jupyter-server-proxy has launcher buttons too, but JupyterLab shows the icons of those among the kernels alone, and there only to people who read English.
Written as JupyterLab loads it (a module federation container), since two dozen lines need no build. */
(window._JUPYTERLAB ??= {})["elabs-apps"] = (() => {
  let shared;

  async function load(name) {
    const [version] = Object.values(shared[name]);
    return (await version.get())();
  }

  async function plugin() {
    const [{ ILauncher }, { PageConfig, URLExt }, { LabIcon }] = await Promise.all(
      ["@jupyterlab/launcher", "@jupyterlab/coreutils", "@jupyterlab/ui-components"].map(load),
    );
    return {
      id: "elabs-apps:launcher",
      description: "A launcher button with an icon for each app.",
      autoStart: true,
      requires: [ILauncher],
      activate: (app, launcher) => {
        JSON.parse(PageConfig.getOption("elabsApps") || "[]").forEach(({ name, title, icon }, rank) => {
          const command = `elabs-apps:${name}`;
          app.commands.addCommand(command, {
            label: title,
            icon: new LabIcon({ name: command, svgstr: icon }),
            execute: () => window.open(URLExt.join(PageConfig.getBaseUrl(), name) + "/", "_blank"),
          });
          // behind the terminal, whose icon the whole section then has, and before the kinds of files
          launcher.add({ command, rank: 0.5 + rank / 1000 });
        });
      },
    };
  }

  return {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const found = await plugin();
      return () => ({ __esModule: true, default: found });
    },
  };
})();
