const express = require("express");

const app = express();
const port = process.env.PORT || 5000;

app.get("/", (request, response) => response.type("text").send(`${process.env.GREETING || "Hello from Express"}\n`));
app.get("/healthz", (request, response) => response.type("text").send("ok\n"));

const server = app.listen(port, "0.0.0.0", () => console.log(`listening on ${port}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
