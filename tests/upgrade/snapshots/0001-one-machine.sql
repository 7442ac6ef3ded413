BEGIN TRANSACTION;
CREATE TABLE activity (
	id VARCHAR(36) NOT NULL, 
	organization_id VARCHAR(36) NOT NULL, 
	actor VARCHAR(254) NOT NULL, 
	verb VARCHAR(60) NOT NULL, 
	object_type VARCHAR(40) NOT NULL, 
	object_id VARCHAR(80) NOT NULL, 
	object_name VARCHAR(200) NOT NULL, 
	message TEXT NOT NULL, 
	detail JSON NOT NULL, 
	address VARCHAR(60), 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_activity PRIMARY KEY (id), 
	CONSTRAINT fk_activity_organization_id FOREIGN KEY(organization_id) REFERENCES organizations (id)
);
INSERT INTO "activity" VALUES('01a21dcf-709b-7480-9c3d-30e2f4f70250','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','organization.created','organization','01a21dcf-7097-70e4-9697-5472933db215','ada','ada@example.org created the organization ada','{}','127.0.0.1','2026-11-27 16:21:03.575094');
INSERT INTO "activity" VALUES('01a21dcf-70d4-7bdc-847a-c89aec6a0504','01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','bob@example.org','organization.created','organization','01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','bob','bob@example.org created the organization bob','{}','127.0.0.1','2026-11-27 16:21:03.787396');
INSERT INTO "activity" VALUES('01a21dcf-7122-7ddd-8167-1104d2a8712a','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','app.created','app','01a21dcf-711b-73fd-9ad6-fe83de540a84','shop','created shop','{"name": "shop", "git_url": "http://127.0.0.1:46527/shop.git", "plan": "pro", "replicas": 2}','127.0.0.1','2026-11-27 16:21:03.894861');
INSERT INTO "activity" VALUES('01a21dcf-7143-723c-9ad4-04219bb23e39','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','deployment.deploy','app','01a21dcf-711b-73fd-9ad6-fe83de540a84','shop','asked for version 1 of shop (deploy)','{"version": 1, "cause": "api"}','127.0.0.1','2026-11-27 16:21:03.927819');
INSERT INTO "activity" VALUES('01a21dcf-76f1-75aa-89c2-5af87f56aa73','01a21dcf-7097-70e4-9697-5472933db215','platform','deployment.running','app','01a21dcf-711b-73fd-9ad6-fe83de540a84','shop','version 1 of shop is live','{"version": 1, "kind": "deploy", "duration_ms": 1446}',NULL,'2026-11-27 16:21:05.374344');
INSERT INTO "activity" VALUES('01a21dcf-7738-7509-8a40-73a052e37ae5','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','env.changed','app','01a21dcf-711b-73fd-9ad6-fe83de540a84','shop','set GREETING, MODE on shop','{"set": ["GREETING", "MODE"], "removed": []}','127.0.0.1','2026-11-27 16:21:05.456627');
INSERT INTO "activity" VALUES('01a21dcf-777a-762e-a1a5-77410c80a2c8','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','deployment.deploy','app','01a21dcf-711b-73fd-9ad6-fe83de540a84','shop','asked for version 2 of shop (deploy)','{"version": 2, "cause": "api"}','127.0.0.1','2026-11-27 16:21:05.525991');
INSERT INTO "activity" VALUES('01a21dcf-7ac0-7db0-8de4-51032b321720','01a21dcf-7097-70e4-9697-5472933db215','platform','deployment.running','app','01a21dcf-711b-73fd-9ad6-fe83de540a84','shop','version 2 of shop is live','{"version": 2, "kind": "deploy", "duration_ms": 822}',NULL,'2026-11-27 16:21:06.348470');
INSERT INTO "activity" VALUES('01a21dcf-7b1b-74d2-8f8d-cd559b3300c7','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','deployment.rollback','app','01a21dcf-711b-73fd-9ad6-fe83de540a84','shop','asked for version 3 of shop (rollback)','{"version": 3, "cause": "rollback"}','127.0.0.1','2026-11-27 16:21:06.454734');
INSERT INTO "activity" VALUES('01a21dcf-7d8a-795e-9063-2335fa091dee','01a21dcf-7097-70e4-9697-5472933db215','platform','deployment.running','app','01a21dcf-711b-73fd-9ad6-fe83de540a84','shop','version 3 of shop is live','{"version": 3, "kind": "rollback", "duration_ms": 614}',NULL,'2026-11-27 16:21:07.068931');
INSERT INTO "activity" VALUES('01a21dcf-92d9-7486-abfd-90e1dce78c3e','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','app.created','app','01a21dcf-92d7-78b3-a96f-fff8a35e5e37','broken','created broken','{"name": "broken", "git_url": "http://127.0.0.1:46527/broken.git", "plan": "pro", "replicas": 1}','127.0.0.1','2026-11-27 16:21:12.533909');
INSERT INTO "activity" VALUES('01a21dcf-92eb-72aa-a5cb-62be8ac0fb59','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','deployment.deploy','app','01a21dcf-92d7-78b3-a96f-fff8a35e5e37','broken','asked for version 1 of broken (deploy)','{"version": 1, "cause": "api"}','127.0.0.1','2026-11-27 16:21:12.550971');
INSERT INTO "activity" VALUES('01a21dcf-959e-7799-8aa8-803e448c04cb','01a21dcf-7097-70e4-9697-5472933db215','platform','deployment.failed','app','01a21dcf-92d7-78b3-a96f-fff8a35e5e37','broken','version 1 of broken: requirements.txt has a line that is no requirement (cause: Unexpected end of version specifier, expected version flask=== ^^^): correct it.','{"version": 1, "code": "dependency_failed"}',NULL,'2026-11-27 16:21:13.243991');
INSERT INTO "activity" VALUES('01a21dcf-95e4-7636-9398-486a466c98c6','01a21dcf-7097-70e4-9697-5472933db215','ada@example.org','invitation.created','invitation','01a21dcf-95e3-770f-b5f9-ecef80502b5e','bob@example.org','ada@example.org invited bob@example.org as viewer','{"role": "viewer"}','127.0.0.1','2026-11-27 16:21:13.309269');
INSERT INTO "activity" VALUES('01a21dcf-962f-773b-9df7-8425eca684f1','01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','bob@example.org','app.created','app','01a21dcf-962b-7ad2-80a0-7028c5c00f36','gone','created gone','{"name": "gone", "git_url": "http://127.0.0.1:46527/gone.git", "plan": "pro", "replicas": 1}','127.0.0.1','2026-11-27 16:21:13.386505');
INSERT INTO "activity" VALUES('01a21dcf-9643-75ab-b193-d8aab03b49ae','01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','bob@example.org','deployment.deploy','app','01a21dcf-962b-7ad2-80a0-7028c5c00f36','gone','asked for version 1 of gone (deploy)','{"version": 1, "cause": "api"}','127.0.0.1','2026-11-27 16:21:13.406765');
INSERT INTO "activity" VALUES('01a21dcf-99f1-7485-bfbf-5ce1a415568e','01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','platform','deployment.running','app','01a21dcf-962b-7ad2-80a0-7028c5c00f36','gone','version 1 of gone is live','{"version": 1, "kind": "deploy", "duration_ms": 940}',NULL,'2026-11-27 16:21:14.347283');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE api_tokens (
	id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(36) NOT NULL, 
	name VARCHAR(80) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	hint VARCHAR(16) NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	last_used_at DATETIME, 
	revoked_at DATETIME, 
	CONSTRAINT pk_api_tokens PRIMARY KEY (id), 
	CONSTRAINT fk_api_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id), 
	CONSTRAINT uq_api_tokens_digest UNIQUE (digest)
);
CREATE TABLE apps (
	id VARCHAR(36) NOT NULL, 
	organization_id VARCHAR(36) NOT NULL, 
	name VARCHAR(80) NOT NULL, 
	slug VARCHAR(80) NOT NULL, 
	uid INTEGER NOT NULL, 
	git_url VARCHAR(2000) NOT NULL, 
	branch VARCHAR(250) NOT NULL, 
	buildpacks JSON NOT NULL, 
	build_cache BOOLEAN NOT NULL, 
	plan_id VARCHAR(36) NOT NULL, 
	plan_slug VARCHAR(40) NOT NULL, 
	cpu_millis INTEGER NOT NULL, 
	memory_mb INTEGER NOT NULL, 
	disk_mb INTEGER NOT NULL, 
	max_replicas INTEGER NOT NULL, 
	price_per_hour_micro BIGINT NOT NULL, 
	formation JSON NOT NULL, 
	health_type VARCHAR(8) NOT NULL, 
	health_path VARCHAR(500) NOT NULL, 
	health_interval_s INTEGER NOT NULL, 
	health_timeout_s INTEGER NOT NULL, 
	health_retries INTEGER NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	status_reason TEXT, 
	wanted VARCHAR(20) NOT NULL, 
	generation INTEGER NOT NULL, 
	next_version INTEGER NOT NULL, 
	current_deployment_id VARCHAR(36), 
	current_version INTEGER, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	CONSTRAINT pk_apps PRIMARY KEY (id), 
	CONSTRAINT fk_apps_organization_id FOREIGN KEY(organization_id) REFERENCES organizations (id), 
	CONSTRAINT fk_apps_plan_id FOREIGN KEY(plan_id) REFERENCES plans (id), 
	CONSTRAINT uq_apps_slug UNIQUE (slug), 
	CONSTRAINT uq_apps_uid UNIQUE (uid)
);
INSERT INTO "apps" VALUES('01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215','shop','shop',200000,'http://127.0.0.1:46527/shop.git','main','[]',1,'01a21dcf-566c-724d-86ca-38a92d9e1dd1','pro',2000,2048,40960,10,69400,'{"web": 2}','http','/',30,5,3,'running',NULL,'running',1,4,'01a21dcf-7b19-7f8d-aea0-dc08ff8550cd',3,'2026-11-27 16:21:03.894861',NULL);
INSERT INTO "apps" VALUES('01a21dcf-92d7-78b3-a96f-fff8a35e5e37','01a21dcf-7097-70e4-9697-5472933db215','broken','broken',200001,'http://127.0.0.1:46527/broken.git','main','[]',1,'01a21dcf-566c-724d-86ca-38a92d9e1dd1','pro',2000,2048,40960,10,69400,'{"web": 1}','http','/',30,5,3,'failed','requirements.txt has a line that is no requirement (cause: Unexpected end of version specifier, expected version flask=== ^^^): correct it.','running',1,2,NULL,NULL,'2026-11-27 16:21:12.533909',NULL);
INSERT INTO "apps" VALUES('01a21dcf-962b-7ad2-80a0-7028c5c00f36','01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','gone','gone',200002,'http://127.0.0.1:46527/gone.git','main','[]',1,'01a21dcf-566c-724d-86ca-38a92d9e1dd1','pro',2000,2048,40960,10,69400,'{"web": 1}','http','/',30,5,3,'running',NULL,'running',1,2,'01a21dcf-9640-7684-8d87-95548b0ef3f2',1,'2026-11-27 16:21:13.386505',NULL);
CREATE TABLE buildpack_names (
	name VARCHAR(80) NOT NULL, 
	git_url VARCHAR(500) NOT NULL, 
	CONSTRAINT pk_buildpack_names PRIMARY KEY (name), 
	CONSTRAINT uq_buildpack_names_name UNIQUE (name)
);
INSERT INTO "buildpack_names" VALUES('heroku/python','builtin:python');
INSERT INTO "buildpack_names" VALUES('heroku/nodejs','builtin:nodejs');
INSERT INTO "buildpack_names" VALUES('python','builtin:python');
INSERT INTO "buildpack_names" VALUES('nodejs','builtin:nodejs');
INSERT INTO "buildpack_names" VALUES('node','builtin:nodejs');
INSERT INTO "buildpack_names" VALUES('static','builtin:static');
INSERT INTO "buildpack_names" VALUES('procfile','builtin:procfile');
INSERT INTO "buildpack_names" VALUES('heroku-buildpack-python','https://github.com/heroku/heroku-buildpack-python');
INSERT INTO "buildpack_names" VALUES('heroku-buildpack-nodejs','https://github.com/heroku/heroku-buildpack-nodejs');
INSERT INTO "buildpack_names" VALUES('heroku-community/apt','https://github.com/heroku/heroku-buildpack-apt');
INSERT INTO "buildpack_names" VALUES('heroku-community/inline','https://github.com/heroku/heroku-buildpack-inline');
INSERT INTO "buildpack_names" VALUES('heroku-community/multi-procfile','https://github.com/heroku/heroku-buildpack-multi-procfile');
INSERT INTO "buildpack_names" VALUES('heroku-community/nginx','https://github.com/heroku/heroku-buildpack-nginx');
INSERT INTO "buildpack_names" VALUES('heroku-community/static','https://github.com/heroku/heroku-buildpack-static');
INSERT INTO "buildpack_names" VALUES('heroku-community/cli','https://github.com/heroku/heroku-buildpack-cli');
INSERT INTO "buildpack_names" VALUES('heroku/clojure','https://github.com/heroku/heroku-buildpack-clojure');
INSERT INTO "buildpack_names" VALUES('heroku/go','https://github.com/heroku/heroku-buildpack-go');
INSERT INTO "buildpack_names" VALUES('heroku/gradle','https://github.com/heroku/heroku-buildpack-gradle');
INSERT INTO "buildpack_names" VALUES('heroku/java','https://github.com/heroku/heroku-buildpack-java');
INSERT INTO "buildpack_names" VALUES('heroku/php','https://github.com/heroku/heroku-buildpack-php');
INSERT INTO "buildpack_names" VALUES('heroku/ruby','https://github.com/heroku/heroku-buildpack-ruby');
INSERT INTO "buildpack_names" VALUES('heroku/scala','https://github.com/heroku/heroku-buildpack-scala');
INSERT INTO "buildpack_names" VALUES('heroku/nginx','https://github.com/heroku/heroku-buildpack-nginx');
INSERT INTO "buildpack_names" VALUES('heroku/multi','https://github.com/heroku/heroku-buildpack-multi');
INSERT INTO "buildpack_names" VALUES('heroku/apt','https://github.com/heroku/heroku-buildpack-apt');
INSERT INTO "buildpack_names" VALUES('heroku/static','https://github.com/heroku/heroku-buildpack-static');
INSERT INTO "buildpack_names" VALUES('heroku/google-chrome','https://github.com/heroku/heroku-buildpack-google-chrome');
INSERT INTO "buildpack_names" VALUES('heroku/pgbouncer','https://github.com/heroku/heroku-buildpack-pgbouncer');
INSERT INTO "buildpack_names" VALUES('heroku/activestorage-preview','https://github.com/heroku/heroku-buildpack-activestorage-preview');
INSERT INTO "buildpack_names" VALUES('heroku/cli','https://github.com/heroku/heroku-buildpack-cli');
INSERT INTO "buildpack_names" VALUES('heroku/chrome-for-testing','https://github.com/heroku/heroku-buildpack-chrome-for-testing');
INSERT INTO "buildpack_names" VALUES('heroku/jvm-common','https://github.com/heroku/heroku-buildpack-jvm-common');
CREATE TABLE deployment_stages (
	deployment_id VARCHAR(36) NOT NULL, 
	name VARCHAR(20) NOT NULL, 
	position INTEGER NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_deployment_stages PRIMARY KEY (deployment_id, name), 
	CONSTRAINT fk_deployment_stages_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
INSERT INTO "deployment_stages" VALUES('01a21dcf-713f-7ca8-a17f-f391ea784844','fetch',0,'done','2026-11-27 16:21:03.986059','2026-11-27 16:21:04.141911');
INSERT INTO "deployment_stages" VALUES('01a21dcf-713f-7ca8-a17f-f391ea784844','build',1,'done','2026-11-27 16:21:04.151520','2026-11-27 16:21:04.791413');
INSERT INTO "deployment_stages" VALUES('01a21dcf-713f-7ca8-a17f-f391ea784844','start',3,'done','2026-11-27 16:21:04.818973','2026-11-27 16:21:05.185896');
INSERT INTO "deployment_stages" VALUES('01a21dcf-713f-7ca8-a17f-f391ea784844','check',4,'done','2026-11-27 16:21:05.192738','2026-11-27 16:21:05.322988');
INSERT INTO "deployment_stages" VALUES('01a21dcf-713f-7ca8-a17f-f391ea784844','switch',5,'done','2026-11-27 16:21:05.327779','2026-11-27 16:21:05.358596');
INSERT INTO "deployment_stages" VALUES('01a21dcf-713f-7ca8-a17f-f391ea784844','drain',6,'done','2026-11-27 16:21:05.374344','2026-11-27 16:21:05.374344');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7778-72d1-841e-1550cc421060','fetch',0,'done','2026-11-27 16:21:05.563169','2026-11-27 16:21:05.680693');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7778-72d1-841e-1550cc421060','build',1,'done','2026-11-27 16:21:05.693862','2026-11-27 16:21:05.749427');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7778-72d1-841e-1550cc421060','start',3,'done','2026-11-27 16:21:05.774485','2026-11-27 16:21:06.124601');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7778-72d1-841e-1550cc421060','check',4,'done','2026-11-27 16:21:06.131756','2026-11-27 16:21:06.315664');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7778-72d1-841e-1550cc421060','switch',5,'done','2026-11-27 16:21:06.321635','2026-11-27 16:21:06.343705');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7778-72d1-841e-1550cc421060','drain',6,'done','2026-11-27 16:21:06.348470','2026-11-27 16:21:09.680830');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7b19-7f8d-aea0-dc08ff8550cd','start',3,'done','2026-11-27 16:21:06.494538','2026-11-27 16:21:06.849174');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7b19-7f8d-aea0-dc08ff8550cd','check',4,'done','2026-11-27 16:21:06.858750','2026-11-27 16:21:07.029020');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7b19-7f8d-aea0-dc08ff8550cd','switch',5,'done','2026-11-27 16:21:07.033778','2026-11-27 16:21:07.061522');
INSERT INTO "deployment_stages" VALUES('01a21dcf-7b19-7f8d-aea0-dc08ff8550cd','drain',6,'done','2026-11-27 16:21:07.068931','2026-11-27 16:21:10.391477');
INSERT INTO "deployment_stages" VALUES('01a21dcf-92e9-7233-9e27-8169e583a624','fetch',0,'done','2026-11-27 16:21:12.595276','2026-11-27 16:21:12.708720');
INSERT INTO "deployment_stages" VALUES('01a21dcf-92e9-7233-9e27-8169e583a624','build',1,'failed','2026-11-27 16:21:12.716655','2026-11-27 16:21:13.229392');
INSERT INTO "deployment_stages" VALUES('01a21dcf-9640-7684-8d87-95548b0ef3f2','fetch',0,'done','2026-11-27 16:21:13.446519','2026-11-27 16:21:13.571070');
INSERT INTO "deployment_stages" VALUES('01a21dcf-9640-7684-8d87-95548b0ef3f2','build',1,'done','2026-11-27 16:21:13.577322','2026-11-27 16:21:14.034808');
INSERT INTO "deployment_stages" VALUES('01a21dcf-9640-7684-8d87-95548b0ef3f2','start',3,'done','2026-11-27 16:21:14.054633','2026-11-27 16:21:14.234292');
INSERT INTO "deployment_stages" VALUES('01a21dcf-9640-7684-8d87-95548b0ef3f2','check',4,'done','2026-11-27 16:21:14.239677','2026-11-27 16:21:14.316501');
INSERT INTO "deployment_stages" VALUES('01a21dcf-9640-7684-8d87-95548b0ef3f2','switch',5,'done','2026-11-27 16:21:14.321967','2026-11-27 16:21:14.341986');
INSERT INTO "deployment_stages" VALUES('01a21dcf-9640-7684-8d87-95548b0ef3f2','drain',6,'done','2026-11-27 16:21:14.347283','2026-11-27 16:21:14.347283');
CREATE TABLE deployments (
	id VARCHAR(36) NOT NULL, 
	app_id VARCHAR(36) NOT NULL, 
	organization_id VARCHAR(36) NOT NULL, 
	version INTEGER NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	stage VARCHAR(20), 
	reason TEXT, 
	reason_code VARCHAR(40), 
	cause VARCHAR(40) NOT NULL, 
	requested_by VARCHAR(254), 
	job_id VARCHAR(64), 
	branch VARCHAR(250) NOT NULL, 
	"commit" VARCHAR(64), 
	commit_message TEXT, 
	commit_author VARCHAR(250), 
	slug_id VARCHAR(36), 
	env_snapshot_id VARCHAR(36), 
	restore_env BOOLEAN NOT NULL, 
	rolled_back_from INTEGER, 
	source_version INTEGER, 
	build_log_of VARCHAR(36), 
	replicas_restored INTEGER, 
	duration_ms BIGINT, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	CONSTRAINT pk_deployments PRIMARY KEY (id), 
	CONSTRAINT fk_deployments_app_id FOREIGN KEY(app_id) REFERENCES apps (id), 
	CONSTRAINT fk_deployments_env_snapshot_id FOREIGN KEY(env_snapshot_id) REFERENCES env_snapshots (id), 
	CONSTRAINT fk_deployments_organization_id FOREIGN KEY(organization_id) REFERENCES organizations (id), 
	CONSTRAINT fk_deployments_slug_id FOREIGN KEY(slug_id) REFERENCES slugs (id), 
	CONSTRAINT uq_deployments_app_id_version UNIQUE (app_id, version)
);
INSERT INTO "deployments" VALUES('01a21dcf-713f-7ca8-a17f-f391ea784844','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215',1,'deploy','superseded',NULL,NULL,NULL,'api','ada@example.org','01a21dcf-7141-7f4d-8fa8-d81b833aafe5','main','ede0778c96a8908906382bd4e00ead1fb24784cd','First commit','Ada <ada@example.org>','01a21dcf-748e-719f-83a9-c92989cb6e76','01a21dcf-74a1-74c4-9dea-38b5a882710c',0,NULL,NULL,NULL,NULL,1446,'2026-11-27 16:21:03.927819','2026-11-27 16:21:03.986059','2026-11-27 16:21:05.374344');
INSERT INTO "deployments" VALUES('01a21dcf-7778-72d1-841e-1550cc421060','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215',2,'deploy','superseded',NULL,NULL,NULL,'api','ada@example.org','01a21dcf-7779-7f10-830f-3c1bac8774a3','main','0be5fc5243fb0dbab6ee98a75075c8563bd4da9a','Sort the orders by date','Ada <ada@example.org>','01a21dcf-784f-7c52-968b-5ab841c1735e','01a21dcf-7862-78fd-9101-b8c484a41ec3',0,NULL,NULL,NULL,NULL,822,'2026-11-27 16:21:05.525991','2026-11-27 16:21:05.563169','2026-11-27 16:21:06.348470');
INSERT INTO "deployments" VALUES('01a21dcf-7b19-7f8d-aea0-dc08ff8550cd','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215',3,'rollback','running',NULL,NULL,NULL,'rollback','ada@example.org','01a21dcf-7b1a-7c63-8208-57fe0108b806','main','ede0778c96a8908906382bd4e00ead1fb24784cd','First commit','Ada <ada@example.org>','01a21dcf-748e-719f-83a9-c92989cb6e76','01a21dcf-7b32-74a6-b61a-b9527abd1bef',0,2,1,'01a21dcf-713f-7ca8-a17f-f391ea784844',2,614,'2026-11-27 16:21:06.454734','2026-11-27 16:21:06.494538','2026-11-27 16:21:07.068931');
INSERT INTO "deployments" VALUES('01a21dcf-92e9-7233-9e27-8169e583a624','01a21dcf-92d7-78b3-a96f-fff8a35e5e37','01a21dcf-7097-70e4-9697-5472933db215',1,'deploy','failed','build','requirements.txt has a line that is no requirement (cause: Unexpected end of version specifier, expected version flask=== ^^^): correct it.','dependency_failed','api','ada@example.org','01a21dcf-92ea-7b0e-b5e1-f9bae4286611','main','ba5adaffd83ef2301cbaf22e461a2352a830bf1e','First commit','Ada <ada@example.org>',NULL,NULL,0,NULL,NULL,NULL,NULL,693,'2026-11-27 16:21:12.550971','2026-11-27 16:21:12.595276','2026-11-27 16:21:13.243991');
INSERT INTO "deployments" VALUES('01a21dcf-9640-7684-8d87-95548b0ef3f2','01a21dcf-962b-7ad2-80a0-7028c5c00f36','01a21dcf-70d2-7121-9f9f-a09c0ab7afe5',1,'deploy','running',NULL,NULL,NULL,'api','bob@example.org','01a21dcf-9641-7181-85cc-efa057ad3d43','main','7a781d97d021fcdf4002543eebf1e3b87d9fa1c8','First commit','Ada <ada@example.org>','01a21dcf-98ae-78e7-8467-fb4c2dcb5196','01a21dcf-98ba-7d28-9eee-e33fdc4cfbf9',0,NULL,NULL,NULL,NULL,940,'2026-11-27 16:21:13.406765','2026-11-27 16:21:13.446519','2026-11-27 16:21:14.347283');
CREATE TABLE env_snapshots (
	id VARCHAR(36) NOT NULL, 
	app_id VARCHAR(36) NOT NULL, 
	content BLOB NOT NULL, 
	names JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_env_snapshots PRIMARY KEY (id), 
	CONSTRAINT fk_env_snapshots_app_id FOREIGN KEY(app_id) REFERENCES apps (id)
);
INSERT INTO "env_snapshots" VALUES('01a21dcf-74a1-74c4-9dea-38b5a882710c','01a21dcf-711b-73fd-9ad6-fe83de540a84',X'6741414141414272436133773758396351746C574B7966796E667049594D5069356A47395238424666684A5F663161415163524E69416C3268327542725954344D71665476766D4E393546636E5A7A38347A38786E3235654C643562546D7A367A413D3D','[]','2026-11-27 16:21:04.798390');
INSERT INTO "env_snapshots" VALUES('01a21dcf-7862-78fd-9101-b8c484a41ec3','01a21dcf-711b-73fd-9ad6-fe83de540a84',X'67414141414142724361337875525930566172615A63724F446647755A546C774E63524A6B4B56376B4D58512D4A555967304B7872314C6C546D637532327875446E792D63356F573569567449574B546B504757776579767246724C64544937516D47746652334E6B554D5F4D5A4C54515F772D5A4332374E38525F39372D656D707A69672D6F3175633539','["GREETING", "MODE"]','2026-11-27 16:21:05.759923');
INSERT INTO "env_snapshots" VALUES('01a21dcf-7b32-74a6-b61a-b9527abd1bef','01a21dcf-711b-73fd-9ad6-fe83de540a84',X'6741414141414272436133793648597268317649345F4E68745A62546B3866337375365473586B3658395535446357713537366C71536D54454757676B786168706174326B77625732567246425643774471564250584352464E385F4861355372374C7949386A4579356C434F77365558494D416F3177776B4F4B626465796C314644775A4C4A705A6F5153','["GREETING", "MODE"]','2026-11-27 16:21:06.481229');
INSERT INTO "env_snapshots" VALUES('01a21dcf-98ba-7d28-9eee-e33fdc4cfbf9','01a21dcf-962b-7ad2-80a0-7028c5c00f36',X'6741414141414272436133364F796A417932413262537672547632686642366D637156736F72315F7568687741766F664C324873782D6A5878617074754F68654B59455A5F55734367674F6F6746566D766E764C5A5A554A345F50326C6132584F413D3D','[]','2026-11-27 16:21:14.041154');
CREATE TABLE env_vars (
	app_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	value BLOB NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_env_vars PRIMARY KEY (app_id, name), 
	CONSTRAINT fk_env_vars_app_id FOREIGN KEY(app_id) REFERENCES apps (id)
);
INSERT INTO "env_vars" VALUES('01a21dcf-711b-73fd-9ad6-fe83de540a84','GREETING',X'674141414141427243613378593664516F54317864445A4351616B6E5734676F553773495F4C616E31386E505A6B4C7A6969545761587256375746544F77756B3061486A6246664F7769366C76734D4A476B5968326A70496C68744F7A39615A55413D3D','2026-11-27 16:21:05.456627','2026-11-27 16:21:05.456627');
INSERT INTO "env_vars" VALUES('01a21dcf-711b-73fd-9ad6-fe83de540a84','MODE',X'674141414141427243613378494E707A3855474D35416F53546B5F57372D43687435546E38644F706C5032457854674A654430344476774442593633784937724A2D31515771745444656932696A71696545576267636678545A6662567265386F513D3D','2026-11-27 16:21:05.456627','2026-11-27 16:21:05.456627');
CREATE TABLE idempotent_requests (
	id VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	response BLOB, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotent_requests PRIMARY KEY (id)
);
CREATE TABLE invitations (
	id VARCHAR(36) NOT NULL, 
	organization_id VARCHAR(36) NOT NULL, 
	email VARCHAR(254) NOT NULL, 
	role VARCHAR(20) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	invited_by VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	accepted_at DATETIME, 
	revoked_at DATETIME, 
	CONSTRAINT pk_invitations PRIMARY KEY (id), 
	CONSTRAINT fk_invitations_invited_by FOREIGN KEY(invited_by) REFERENCES users (id), 
	CONSTRAINT fk_invitations_organization_id FOREIGN KEY(organization_id) REFERENCES organizations (id), 
	CONSTRAINT uq_invitations_digest UNIQUE (digest)
);
INSERT INTO "invitations" VALUES('01a21dcf-95e3-770f-b5f9-ecef80502b5e','01a21dcf-7097-70e4-9697-5472933db215','bob@example.org','viewer','98e9164fe8bd35cdba97116f5c079e50df990629981c121b3a584d55a530bff8','01a21dcf-7091-78cc-b319-72f30bf3a8c1','2026-11-27 16:21:13.309269','2026-12-04 16:21:13.309269',NULL,NULL);
CREATE TABLE job_attempts (
	job_id VARCHAR(64) NOT NULL, 
	fence INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	worker VARCHAR(120) NOT NULL, 
	started_at DOUBLE NOT NULL, 
	finished_at DOUBLE, 
	outcome VARCHAR(20), 
	error TEXT, 
	CONSTRAINT pk_job_attempts PRIMARY KEY (job_id, fence), 
	CONSTRAINT fk_job_attempts_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "job_attempts" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5',1,1,'vm:6e407347',1.79579646396299600599e+09,1.79579646540800929067e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-76ef-7cee-991c-a46b492b9e75',1,1,'vm:6e407347',1795796465.41501,1.79579646543198823928e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3',1,1,'vm:6e407347',1.79579646554399728771e+09,1.79579646643801784516e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-7ab3-7ee3-80bc-eb722ab0d070',1,1,'vm:6e407347',1.79579646639098525042e+09,1.79579646968901610374e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-7abb-7e04-a76f-8974be834d16',1,1,'vm:6e407347',1.79579646640100336072e+09,1.79579646971098327639e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-7abc-7f3b-916d-0d56f9879631',1,1,'vm:6e407347',1.79579646640900969503e+09,1.7957964664220049381e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-7b1a-7c63-8208-57fe0108b806',1,1,'vm:6e407347',1.79579646647000312808e+09,1795796467.08899,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-7d87-73b4-b018-9f65c4d939c8',1,1,'vm:6e407347',1.79579646710299110413e+09,1.79579647040898799899e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-7d89-7a98-86cb-c2ed387f8f6e',1,1,'vm:6e407347',1.79579646712198114392e+09,1.79579647040098166468e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-7d8a-779d-98fc-01b344c2c420',1,1,'vm:6e407347',1.79579646713199901578e+09,1.79579646715199494361e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-92ea-7b0e-b5e1-f9bae4286611',1,1,'vm:6e407347',1.79579647258499717705e+09,1.7957964732630059719e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43',1,1,'vm:6e407347',1.7957964734319851398e+09,1.79579647435698509221e+09,'done',NULL);
INSERT INTO "job_attempts" VALUES('01a21dcf-99f0-7c63-931e-c6f9b817dae5',1,1,'vm:6e407347',1.79579647438301587105e+09,1.79579647439898848534e+09,'done',NULL);
CREATE TABLE job_steps (
	job_id VARCHAR(64) NOT NULL, 
	name VARCHAR(120) NOT NULL, 
	result TEXT NOT NULL, 
	recorded_at DOUBLE NOT NULL, 
	CONSTRAINT pk_job_steps PRIMARY KEY (job_id, name), 
	CONSTRAINT fk_job_steps_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "job_steps" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5','fetch','"ede0778c96a8908906382bd4e00ead1fb24784cd"',1.79579646414798784251e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5','build','"01a21dcf-748e-719f-83a9-c92989cb6e76"',1.79579646479501724241e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5','prepare','null',1.79579646480298328395e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5','choose','["fe83de540a84-v1-web-1-d484fc", "fe83de540a84-v1-web-2-f30d62"]',1.79579646481601905823e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5','start','null',1795796465.18898);
INSERT INTO "job_steps" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5','check','null',1.79579646532601404189e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5','switch','null',1.79579646537200069431e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7141-7f4d-8fa8-d81b833aafe5','finish','null',1795796465.39602);
INSERT INTO "job_steps" VALUES('01a21dcf-76ef-7cee-991c-a46b492b9e75','decide','{"slugs": [], "keep_layers": ["01a21dcf-711b-73fd-9ad6-fe83de540a84/src-01a21dcf-713f-7ca8-a17f-f391ea784844", "01a21dcf-711b-73fd-9ad6-fe83de540a84/python-14c9a702299514bba33c5bab"], "count": 0}',1.79579646542800521846e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3','fetch','"0be5fc5243fb0dbab6ee98a75075c8563bd4da9a"',1.79579646568799161914e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3','build','"01a21dcf-784f-7c52-968b-5ab841c1735e"',1.79579646575300836556e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3','prepare','null',1.79579646576298618317e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3','choose','["fe83de540a84-v2-web-1-ad5220", "fe83de540a84-v2-web-2-b36a7b"]',1.79579646577099275592e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3','start','null',1.79579646612701559062e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3','check','null',1.79579646631900811202e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3','switch','null',1.79579646634701037407e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7779-7f10-830f-3c1bac8774a3','finish','null',1.79579646636901807789e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7abc-7f3b-916d-0d56f9879631','decide','{"slugs": [], "keep_layers": ["01a21dcf-711b-73fd-9ad6-fe83de540a84/src-01a21dcf-713f-7ca8-a17f-f391ea784844", "01a21dcf-711b-73fd-9ad6-fe83de540a84/python-14c9a702299514bba33c5bab", "01a21dcf-711b-73fd-9ad6-fe83de540a84/src-01a21dcf-7778-72d1-841e-1550cc421060", "01a21dcf-711b-73fd-9ad6-fe83de540a84/python-14c9a702299514bba33c5bab"], "count": 0}',1.79579646642099905015e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7b1a-7c63-8208-57fe0108b806','prepare','null',1.79579646648299837106e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7b1a-7c63-8208-57fe0108b806','choose','["fe83de540a84-v3-web-1-2d70d7", "fe83de540a84-v3-web-2-a91d20"]',1.79579646649201059337e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7b1a-7c63-8208-57fe0108b806','start','null',1.79579646685499405862e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7b1a-7c63-8208-57fe0108b806','check','null',1.7957964670310139656e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7b1a-7c63-8208-57fe0108b806','switch','null',1.79579646706698226933e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7b1a-7c63-8208-57fe0108b806','finish','null',1.79579646708400106434e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-7d8a-779d-98fc-01b344c2c420','decide','{"slugs": [], "keep_layers": ["01a21dcf-711b-73fd-9ad6-fe83de540a84/src-01a21dcf-713f-7ca8-a17f-f391ea784844", "01a21dcf-711b-73fd-9ad6-fe83de540a84/python-14c9a702299514bba33c5bab", "01a21dcf-711b-73fd-9ad6-fe83de540a84/src-01a21dcf-7778-72d1-841e-1550cc421060", "01a21dcf-711b-73fd-9ad6-fe83de540a84/python-14c9a702299514bba33c5bab"], "count": 0}',1.79579646714998340611e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-92ea-7b0e-b5e1-f9bae4286611','fetch','"ba5adaffd83ef2301cbaf22e461a2352a830bf1e"',1.79579647271301889423e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43','fetch','"7a781d97d021fcdf4002543eebf1e3b87d9fa1c8"',1.795796473575013876e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43','build','"01a21dcf-98ae-78e7-8467-fb4c2dcb5196"',1.79579647403801679608e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43','prepare','null',1.79579647404401159284e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43','choose','["7028c5c00f36-v1-web-1-d45dd6"]',1.79579647405201792715e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43','start','null',1.79579647423600411411e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43','check','null',1.79579647432001090045e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43','switch','null',1.79579647434499549861e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-9641-7181-85cc-efa057ad3d43','finish','null',1.79579647435400772091e+09);
INSERT INTO "job_steps" VALUES('01a21dcf-99f0-7c63-931e-c6f9b817dae5','decide','{"slugs": [], "keep_layers": ["01a21dcf-962b-7ad2-80a0-7028c5c00f36/src-01a21dcf-9640-7684-8d87-95548b0ef3f2", "01a21dcf-962b-7ad2-80a0-7028c5c00f36/python-14c9a702299514bba33c5bab"], "count": 0}',1.79579647439701700203e+09);
CREATE TABLE job_ticks (
	name VARCHAR(80) NOT NULL, 
	tick DOUBLE NOT NULL, 
	CONSTRAINT pk_job_ticks PRIMARY KEY (name)
);
INSERT INTO "job_ticks" VALUES('upkeep.jobs',1795796220.0);
INSERT INTO "job_ticks" VALUES('upkeep.logs',1795796400.0);
INSERT INTO "job_ticks" VALUES('upkeep.caches',1795753380.0);
INSERT INTO "job_ticks" VALUES('upkeep.accounts',1795750860.0);
CREATE TABLE jobs (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR(64) NOT NULL, 
	kind VARCHAR(80) NOT NULL, 
	queue VARCHAR(80) NOT NULL, 
	"key" VARCHAR(120), 
	dedup VARCHAR(200), 
	state VARCHAR(20) NOT NULL, 
	priority INTEGER NOT NULL, 
	args JSON NOT NULL, 
	result TEXT, 
	error TEXT, 
	run_at DOUBLE, 
	created_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	tries INTEGER NOT NULL, 
	max_attempts INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	cancel BOOLEAN NOT NULL, 
	failing BOOLEAN NOT NULL, 
	worker VARCHAR(120), 
	incarnation VARCHAR(64), 
	lease_until DOUBLE, 
	CONSTRAINT uq_jobs_id UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'01a21dcf-7141-7f4d-8fa8-d81b833aafe5','deploy','deploys','app:01a21dcf-711b-73fd-9ad6-fe83de540a84',NULL,'done',0,'{"deployment_id": "01a21dcf-713f-7ca8-a17f-f391ea784844"}','null',NULL,NULL,1.79579646393901705739e+09,1.79579646396001863482e+09,1.79579646540700340272e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(2,'01a21dcf-76ef-7cee-991c-a46b492b9e75','app.retention','upkeep','retention:01a21dcf-711b-73fd-9ad6-fe83de540a84','retention:01a21dcf-711b-73fd-9ad6-fe83de540a84','done',0,'{"app_id": "01a21dcf-711b-73fd-9ad6-fe83de540a84"}','0',NULL,NULL,1795796465.39602,1.79579646541400408748e+09,1.79579646543098235132e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(3,'01a21dcf-7779-7f10-830f-3c1bac8774a3','deploy','deploys','app:01a21dcf-711b-73fd-9ad6-fe83de540a84',NULL,'done',0,'{"deployment_id": "01a21dcf-7778-72d1-841e-1550cc421060"}','null',NULL,NULL,1.79579646552999615673e+09,1795796465.54102,1.79579646643701195717e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(4,'01a21dcf-7ab3-7ee3-80bc-eb722ab0d070','replica.drain','drains','replica:fe83de540a84-v1-web-1-d484fc','drain:fe83de540a84-v1-web-1-d484fc','done',0,'{"replica_id": "fe83de540a84-v1-web-1-d484fc"}','null',NULL,NULL,1.79579646636101150514e+09,1.79579646639001965519e+09,1.79579646968801021579e+09,1,20,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(5,'01a21dcf-7abb-7e04-a76f-8974be834d16','replica.drain','drains','replica:fe83de540a84-v1-web-2-f30d62','drain:fe83de540a84-v1-web-2-f30d62','done',0,'{"replica_id": "fe83de540a84-v1-web-2-f30d62"}','null',NULL,NULL,1.79579646636398887636e+09,1.79579646639999747272e+09,1.79579646970700025554e+09,1,20,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(6,'01a21dcf-7abc-7f3b-916d-0d56f9879631','app.retention','upkeep','retention:01a21dcf-711b-73fd-9ad6-fe83de540a84','retention:01a21dcf-711b-73fd-9ad6-fe83de540a84','done',0,'{"app_id": "01a21dcf-711b-73fd-9ad6-fe83de540a84"}','0',NULL,NULL,1.79579646636901807789e+09,1.79579646640800380703e+09,1.7957964664220049381e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(7,'01a21dcf-7b1a-7c63-8208-57fe0108b806','deploy','deploys','app:01a21dcf-711b-73fd-9ad6-fe83de540a84',NULL,'done',0,'{"deployment_id": "01a21dcf-7b19-7f8d-aea0-dc08ff8550cd"}','null',NULL,NULL,1.79579646645801353451e+09,1.79579646646899724008e+09,1.79579646708798408506e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(8,'01a21dcf-7d87-73b4-b018-9f65c4d939c8','replica.drain','drains','replica:fe83de540a84-v2-web-1-ad5220','drain:fe83de540a84-v2-web-1-ad5220','done',0,'{"replica_id": "fe83de540a84-v2-web-1-ad5220"}','null',NULL,NULL,1.79579646708001804348e+09,1.79579646710198521618e+09,1.795796470407982111e+09,1,20,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(9,'01a21dcf-7d89-7a98-86cb-c2ed387f8f6e','replica.drain','drains','replica:fe83de540a84-v2-web-2-b36a7b','drain:fe83de540a84-v2-web-2-b36a7b','done',0,'{"replica_id": "fe83de540a84-v2-web-2-b36a7b"}','null',NULL,NULL,1.79579646708198928826e+09,1.7957964671200096607e+09,1.79579647040001606946e+09,1,20,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(10,'01a21dcf-7d8a-779d-98fc-01b344c2c420','app.retention','upkeep','retention:01a21dcf-711b-73fd-9ad6-fe83de540a84','retention:01a21dcf-711b-73fd-9ad6-fe83de540a84','done',0,'{"app_id": "01a21dcf-711b-73fd-9ad6-fe83de540a84"}','0',NULL,NULL,1.79579646708299517634e+09,1.79579646713099336623e+09,1.79579646715199494361e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(11,'01a21dcf-92ea-7b0e-b5e1-f9bae4286611','deploy','deploys','app:01a21dcf-92d7-78b3-a96f-fff8a35e5e37',NULL,'done',0,'{"deployment_id": "01a21dcf-92e9-7233-9e27-8169e583a624"}','null',NULL,NULL,1.79579647255401754382e+09,1.79579647258201980592e+09,1.7957964732630059719e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(12,'01a21dcf-9641-7181-85cc-efa057ad3d43','deploy','deploys','app:01a21dcf-962b-7ad2-80a0-7028c5c00f36',NULL,'done',0,'{"deployment_id": "01a21dcf-9640-7684-8d87-95548b0ef3f2"}','null',NULL,NULL,1.79579647341001772883e+09,1.79579647343001365658e+09,1.79579647435601949699e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
INSERT INTO "jobs" VALUES(13,'01a21dcf-99f0-7c63-931e-c6f9b817dae5','app.retention','upkeep','retention:01a21dcf-962b-7ad2-80a0-7028c5c00f36','retention:01a21dcf-962b-7ad2-80a0-7028c5c00f36','done',0,'{"app_id": "01a21dcf-962b-7ad2-80a0-7028c5c00f36"}','0',NULL,NULL,1.79579647435400772091e+09,1795796474.38201,1.79579647439898848534e+09,1,5,1,0,0,'vm:6e407347','01a21dcf-67e4-7e2a-ada3-f306b413357f',NULL);
CREATE TABLE login_failures (
	id VARCHAR(36) NOT NULL, 
	subject VARCHAR(300) NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_login_failures PRIMARY KEY (id)
);
INSERT INTO "login_failures" VALUES('01a21dcf-7001-7d3f-97a9-1d3b149deed1','registration:127.0.0.1','2026-11-27 16:21:03.575094');
INSERT INTO "login_failures" VALUES('01a21dcf-70ad-7608-9ff6-202387c8858a','registration:127.0.0.1','2026-11-27 16:21:03.787396');
CREATE TABLE memberships (
	organization_id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(36) NOT NULL, 
	role VARCHAR(20) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_memberships PRIMARY KEY (organization_id, user_id), 
	CONSTRAINT fk_memberships_organization_id FOREIGN KEY(organization_id) REFERENCES organizations (id), 
	CONSTRAINT fk_memberships_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
INSERT INTO "memberships" VALUES('01a21dcf-7097-70e4-9697-5472933db215','01a21dcf-7091-78cc-b319-72f30bf3a8c1','owner','2026-11-27 16:21:03.575094');
INSERT INTO "memberships" VALUES('01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','01a21dcf-70d0-751a-a272-ae0052e483f8','owner','2026-11-27 16:21:03.787396');
CREATE TABLE organizations (
	id VARCHAR(36) NOT NULL, 
	slug VARCHAR(40) NOT NULL, 
	name VARCHAR(120) NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	max_apps INTEGER, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_organizations PRIMARY KEY (id), 
	CONSTRAINT uq_organizations_slug UNIQUE (slug)
);
INSERT INTO "organizations" VALUES('01a21dcf-7097-70e4-9697-5472933db215','ada','ada','active',NULL,'2026-11-27 16:21:03.575094');
INSERT INTO "organizations" VALUES('01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','bob','bob','active',NULL,'2026-11-27 16:21:03.787396');
CREATE TABLE plans (
	id VARCHAR(36) NOT NULL, 
	slug VARCHAR(40) NOT NULL, 
	name VARCHAR(80) NOT NULL, 
	cpu_millis INTEGER NOT NULL, 
	memory_mb INTEGER NOT NULL, 
	disk_mb INTEGER NOT NULL, 
	max_replicas INTEGER NOT NULL, 
	price_per_hour_micro BIGINT NOT NULL, 
	storage_price_micro BIGINT NOT NULL, 
	log_price_micro BIGINT NOT NULL, 
	features JSON NOT NULL, 
	position INTEGER NOT NULL, 
	retired_at DATETIME, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_plans PRIMARY KEY (id), 
	CONSTRAINT uq_plans_slug UNIQUE (slug)
);
INSERT INTO "plans" VALUES('01a21dcf-566a-7947-aa30-3222320f9116','hobby','Hobby',500,512,10240,1,6900,0,0,'["ssl"]',1,NULL,'2026-11-27 16:20:57.041220');
INSERT INTO "plans" VALUES('01a21dcf-566b-7044-9427-a5ae40b55256','standard','Standard',1000,1024,20480,3,34700,0,0,'["custom_domain", "ssl"]',2,NULL,'2026-11-27 16:20:57.041220');
INSERT INTO "plans" VALUES('01a21dcf-566c-724d-86ca-38a92d9e1dd1','pro','Pro',2000,2048,40960,10,69400,0,0,'["custom_domain", "auto_scaling", "ssl"]',3,NULL,'2026-11-27 16:20:57.041220');
INSERT INTO "plans" VALUES('01a21dcf-566d-743c-ae2d-905da7c461ea','business','Business',4000,4096,81920,20,138900,0,0,'["custom_domain", "auto_scaling", "ssl"]',4,NULL,'2026-11-27 16:20:57.041220');
CREATE TABLE replicas (
	id VARCHAR(80) NOT NULL, 
	app_id VARCHAR(36) NOT NULL, 
	organization_id VARCHAR(36) NOT NULL, 
	deployment_id VARCHAR(36) NOT NULL, 
	generation INTEGER NOT NULL, 
	process_type VARCHAR(40) NOT NULL, 
	position INTEGER NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	node VARCHAR(120) NOT NULL, 
	address VARCHAR(60), 
	port INTEGER, 
	restarts INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	last_failure TEXT, 
	retry_at DATETIME, 
	drain_until DATETIME, 
	plan_slug VARCHAR(40) NOT NULL, 
	price_per_hour_micro BIGINT NOT NULL, 
	started_at DATETIME, 
	stopped_at DATETIME, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_replicas PRIMARY KEY (id), 
	CONSTRAINT fk_replicas_app_id FOREIGN KEY(app_id) REFERENCES apps (id), 
	CONSTRAINT fk_replicas_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id), 
	CONSTRAINT fk_replicas_organization_id FOREIGN KEY(organization_id) REFERENCES organizations (id)
);
INSERT INTO "replicas" VALUES('fe83de540a84-v1-web-1-d484fc','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215','01a21dcf-713f-7ca8-a17f-f391ea784844',1,'web',1,'gone','vm','10.210.35.147',5000,0,0,NULL,NULL,'2026-11-27 16:21:36.355177','pro',69400,'2026-11-27 16:21:05.121856','2026-11-27 16:21:09.638327','2026-11-27 16:21:04.811743');
INSERT INTO "replicas" VALUES('fe83de540a84-v1-web-2-f30d62','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215','01a21dcf-713f-7ca8-a17f-f391ea784844',1,'web',2,'gone','vm','10.210.43.8',5000,0,0,NULL,NULL,'2026-11-27 16:21:36.355177','pro',69400,'2026-11-27 16:21:05.177323','2026-11-27 16:21:09.658328','2026-11-27 16:21:04.811743');
INSERT INTO "replicas" VALUES('fe83de540a84-v2-web-1-ad5220','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215','01a21dcf-7778-72d1-841e-1550cc421060',1,'web',1,'gone','vm','10.210.41.41',5000,0,0,NULL,NULL,'2026-11-27 16:21:37.079284','pro',69400,'2026-11-27 16:21:06.049834','2026-11-27 16:21:10.370327','2026-11-27 16:21:05.768482');
INSERT INTO "replicas" VALUES('fe83de540a84-v2-web-2-b36a7b','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215','01a21dcf-7778-72d1-841e-1550cc421060',1,'web',2,'gone','vm','10.210.47.74',5000,0,0,NULL,NULL,'2026-11-27 16:21:37.079284','pro',69400,'2026-11-27 16:21:06.097716','2026-11-27 16:21:10.354327','2026-11-27 16:21:05.768482');
INSERT INTO "replicas" VALUES('fe83de540a84-v3-web-1-2d70d7','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215','01a21dcf-7b19-7f8d-aea0-dc08ff8550cd',1,'web',1,'healthy','vm','10.210.40.134',5000,0,0,NULL,NULL,NULL,'pro',69400,'2026-11-27 16:21:06.840394',NULL,'2026-11-27 16:21:06.489711');
INSERT INTO "replicas" VALUES('fe83de540a84-v3-web-2-a91d20','01a21dcf-711b-73fd-9ad6-fe83de540a84','01a21dcf-7097-70e4-9697-5472933db215','01a21dcf-7b19-7f8d-aea0-dc08ff8550cd',1,'web',2,'healthy','vm','10.210.46.98',5000,0,0,NULL,NULL,NULL,'pro',69400,'2026-11-27 16:21:06.804222',NULL,'2026-11-27 16:21:06.489711');
INSERT INTO "replicas" VALUES('7028c5c00f36-v1-web-1-d45dd6','01a21dcf-962b-7ad2-80a0-7028c5c00f36','01a21dcf-70d2-7121-9f9f-a09c0ab7afe5','01a21dcf-9640-7684-8d87-95548b0ef3f2',1,'web',1,'healthy','vm','10.210.47.136',5000,0,0,NULL,NULL,NULL,'pro',69400,'2026-11-27 16:21:14.224585',NULL,'2026-11-27 16:21:14.048652');
CREATE TABLE runs (
	id VARCHAR(36) NOT NULL, 
	app_id VARCHAR(36) NOT NULL, 
	deployment_id VARCHAR(36) NOT NULL, 
	command TEXT NOT NULL, 
	requested_by VARCHAR(254), 
	status VARCHAR(20) NOT NULL, 
	exit_code INTEGER, 
	reason TEXT, 
	job_id VARCHAR(64), 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_app_id FOREIGN KEY(app_id) REFERENCES apps (id), 
	CONSTRAINT fk_runs_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE slugs (
	id VARCHAR(36) NOT NULL, 
	app_id VARCHAR(36) NOT NULL, 
	digest VARCHAR(80) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	layers JSON NOT NULL, 
	toolchains JSON NOT NULL, 
	process_types JSON NOT NULL, 
	config_vars JSON NOT NULL, 
	buildpack VARCHAR(500) NOT NULL, 
	stack VARCHAR(80) NOT NULL, 
	created_at DATETIME NOT NULL, 
	removed_at DATETIME, 
	CONSTRAINT pk_slugs PRIMARY KEY (id), 
	CONSTRAINT fk_slugs_app_id FOREIGN KEY(app_id) REFERENCES apps (id)
);
INSERT INTO "slugs" VALUES('01a21dcf-748e-719f-83a9-c92989cb6e76','01a21dcf-711b-73fd-9ad6-fe83de540a84','sha256:ea140393e50ae82ecb85d54f813175fac04040ccbe6079aed6c3e4c8936461e6',7858,'["01a21dcf-711b-73fd-9ad6-fe83de540a84/src-01a21dcf-713f-7ca8-a17f-f391ea784844", "01a21dcf-711b-73fd-9ad6-fe83de540a84/python-14c9a702299514bba33c5bab"]','[]','{"web": "python server.py"}','{}','Python (pip)','host','2026-11-27 16:21:04.784501',NULL);
INSERT INTO "slugs" VALUES('01a21dcf-784f-7c52-968b-5ab841c1735e','01a21dcf-711b-73fd-9ad6-fe83de540a84','sha256:ecb663fd561e719aef69a549993e84dd28d3d6bf789aea9d3af2c37fe3e84ba0',7878,'["01a21dcf-711b-73fd-9ad6-fe83de540a84/src-01a21dcf-7778-72d1-841e-1550cc421060", "01a21dcf-711b-73fd-9ad6-fe83de540a84/python-14c9a702299514bba33c5bab"]','[]','{"web": "python server.py"}','{}','Python (pip)','host','2026-11-27 16:21:05.746781',NULL);
INSERT INTO "slugs" VALUES('01a21dcf-98ae-78e7-8467-fb4c2dcb5196','01a21dcf-962b-7ad2-80a0-7028c5c00f36','sha256:688924f98dd7fa23fbed48b9bb5663cbd3168bac3fcf470e8943d7bdecab0e27',7859,'["01a21dcf-962b-7ad2-80a0-7028c5c00f36/src-01a21dcf-9640-7684-8d87-95548b0ef3f2", "01a21dcf-962b-7ad2-80a0-7028c5c00f36/python-14c9a702299514bba33c5bab"]','[]','{"web": "python server.py"}','{}','Python (pip)','host','2026-11-27 16:21:14.032487',NULL);
CREATE TABLE user_sessions (
	id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	CONSTRAINT pk_user_sessions PRIMARY KEY (id), 
	CONSTRAINT fk_user_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
INSERT INTO "user_sessions" VALUES('01a21dcf-709f-7a0c-ba10-00f4ed1e69e3','01a21dcf-7091-78cc-b319-72f30bf3a8c1','2026-11-27 16:21:03.575094','2026-11-28 16:21:03.575094',NULL);
INSERT INTO "user_sessions" VALUES('01a21dcf-70d5-7613-b004-314aadbf444a','01a21dcf-70d0-751a-a272-ae0052e483f8','2026-11-27 16:21:03.787396','2026-11-28 16:21:03.787396',NULL);
CREATE TABLE users (
	id VARCHAR(36) NOT NULL, 
	email VARCHAR(254) NOT NULL, 
	name VARCHAR(120) NOT NULL, 
	password_hash VARCHAR(200) NOT NULL, 
	is_admin BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT uq_users_email UNIQUE (email)
);
INSERT INTO "users" VALUES('01a21dcf-7091-78cc-b319-72f30bf3a8c1','ada@example.org','ada','$argon2id$v=19$m=19456,t=2,p=1$hnN+ooTTSLGmwwhg7/Uc/w$Wt6xeZyes4Np4kijeS5bsaoWI6CUEUgi3Rp98PdYO+I',0,'2026-11-27 16:21:03.575094');
INSERT INTO "users" VALUES('01a21dcf-70d0-751a-a272-ae0052e483f8','bob@example.org','bob','$argon2id$v=19$m=19456,t=2,p=1$abpG3VxolWQyCnDZM/8CGg$SgtnCX/FQr/BA/yzxeZBYS9yBPd6mg8pK1eQ8ZOY7I8',0,'2026-11-27 16:21:03.787396');
CREATE INDEX ix_idempotent_requests_created_at ON idempotent_requests (created_at);
CREATE INDEX ix_jobs_finished_at ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ix_jobs_key_state ON jobs ("key", state);
CREATE INDEX ix_jobs_lease ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX ix_jobs_ready ON jobs (queue, priority, seq) WHERE state = 'queued';
CREATE UNIQUE INDEX uq_jobs_dedup_queued ON jobs (queue, dedup) WHERE state = 'queued';
CREATE UNIQUE INDEX uq_jobs_key_running ON jobs ("key") WHERE state = 'running';
CREATE INDEX ix_login_failures_subject_at ON login_failures (subject, at);
CREATE INDEX ix_activity_object ON activity (object_id, id);
CREATE INDEX ix_activity_organization ON activity (organization_id, id);
CREATE INDEX ix_api_tokens_user_id ON api_tokens (user_id);
CREATE INDEX ix_apps_organization ON apps (organization_id, deleted_at, id);
CREATE INDEX ix_invitations_organization_id ON invitations (organization_id);
CREATE INDEX ix_memberships_user_id ON memberships (user_id);
CREATE INDEX ix_user_sessions_user_id ON user_sessions (user_id);
CREATE INDEX ix_env_snapshots_app_id ON env_snapshots (app_id);
CREATE INDEX ix_slugs_app ON slugs (app_id, created_at);
CREATE INDEX ix_deployments_app_status ON deployments (app_id, status);
CREATE INDEX ix_replicas_app_state ON replicas (app_id, state);
CREATE INDEX ix_replicas_state ON replicas (state);
CREATE INDEX ix_runs_app_id ON runs (app_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',13);
COMMIT;
