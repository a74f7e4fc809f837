/** The dashboard: the runs of a folder as a page that follows them. */
export { type Dashboard, type DashboardOptions, serveDashboard } from "./server.node.js";
